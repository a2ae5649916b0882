"""Helm charts read without Helm: what a chart is, which images it names, what it renders to.

archive, chart     a chart's .tgz as files, as a tree of charts with their values
mentions, naming   what names an image in values and manifests, and in which keys
valuefiles         what the values of a chart and its sub-charts name
manifests          what the rendered manifests name
rendering          the templates, by the reader here (engine, template, functions, files)
helmprogram        the templates, by the helm program
suffix             what NVIDIA's operators append to a tag
"""
