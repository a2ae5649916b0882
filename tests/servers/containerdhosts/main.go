// Resolves names with containerd's own code, by the hosts.toml files below a folder.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/containerd/containerd/v2/core/remotes/docker"
	"github.com/containerd/containerd/v2/core/remotes/docker/config"
)

func main() {
	ctx := context.Background()
	dir := config.HostDirFromRoot(os.Args[1])
	hosts := config.ConfigureHosts(ctx, config.HostOptions{HostDir: dir})
	resolver := docker.NewResolver(docker.ResolverOptions{Hosts: hosts})
	for _, name := range os.Args[2:] {
		_, found, err := resolver.Resolve(ctx, name)
		if err != nil {
			fmt.Println(name, "not found:", err)
			continue
		}
		fmt.Println(name, found.Digest)
	}
}
