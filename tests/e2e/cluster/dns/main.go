// CoreDNS with the plugins that the test cluster's Corefile uses, and no others.
package main

import (
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/health"
	_ "github.com/coredns/coredns/plugin/kubernetes"
	_ "github.com/coredns/coredns/plugin/ready"
	_ "github.com/coredns/coredns/plugin/rewrite"
	_ "github.com/coredns/coredns/plugin/template"

	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/coremain"
)

func main() {
	// The order here, not the Corefile's, is the order of execution.
	dnsserver.Directives = []string{"errors", "health", "ready", "rewrite", "kubernetes", "template"}
	coremain.Run()
}
