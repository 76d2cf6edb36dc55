package main

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
)

// What has failed is tried again after this, if nothing changes sooner.
const resync = 5 * time.Second

// loadBalancer does a cloud's part for Services of type LoadBalancer: it writes an
// address of its range into their status. Traffic to it is kube-proxy's business.
type loadBalancer struct {
	addresses netip.Prefix
	client    kubernetes.Interface
}

func newLoadBalancerCommand() *cobra.Command {
	var kubeconfig, addresses string
	command := &cobra.Command{
		Use: "load-balancer",
		RunE: func(command *cobra.Command, _ []string) error {
			return runLoadBalancer(command.Context(), kubeconfig, addresses)
		},
	}
	command.Flags().StringVar(&kubeconfig, "kubeconfig", "", "how to reach the API server")
	command.Flags().StringVar(&addresses, "addresses", "", "range of addresses to give out, as CIDR")
	return command
}

func runLoadBalancer(ctx context.Context, kubeconfig, addresses string) error {
	prefix, err := netip.ParsePrefix(addresses)
	if err != nil {
		return err
	}
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	factory := informers.NewSharedInformerFactory(client, resync)
	balancer := &loadBalancer{addresses: prefix, client: client}
	wake := make(chan struct{}, 1)
	changed := func(any) {
		select {
		case wake <- struct{}{}:
		default: // one is waiting already
		}
	}
	_, err = factory.Core().V1().Services().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    changed,
		UpdateFunc: func(_, service any) { changed(service) },
		DeleteFunc: changed,
	})
	if err != nil {
		return err
	}
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-wake:
			if err := balancer.assign(ctx); err != nil {
				klog.ErrorS(err, "assigning addresses")
			}
		}
	}
}

// assign gives an address to every Service that waits for one. What is taken is
// read from the Services themselves, so a restart forgets nothing; and from the API
// server, since the informer may not yet know what was assigned a moment ago.
func (b *loadBalancer) assign(ctx context.Context) error {
	services, err := b.client.CoreV1().Services(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	taken := map[string]bool{}
	for _, service := range services.Items {
		for _, ingress := range service.Status.LoadBalancer.Ingress {
			taken[ingress.IP] = true
		}
	}
	for _, service := range services.Items {
		if !waits(&service) {
			continue
		}
		address, err := b.free(taken)
		if err != nil {
			return err
		}
		service.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: address}}
		_, err = b.client.CoreV1().Services(service.Namespace).UpdateStatus(ctx, &service, metav1.UpdateOptions{})
		if err != nil {
			return err
		}
		taken[address] = true
		klog.InfoS("address assigned", "service", klog.KObj(&service), "address", address)
	}
	return nil
}

func waits(service *corev1.Service) bool {
	return service.Spec.Type == corev1.ServiceTypeLoadBalancer &&
		service.Spec.LoadBalancerClass == nil &&
		service.DeletionTimestamp == nil &&
		len(service.Status.LoadBalancer.Ingress) == 0
}

func (b *loadBalancer) free(taken map[string]bool) (string, error) {
	for address := b.addresses.Addr().Next(); b.addresses.Contains(address); address = address.Next() {
		if !taken[address.String()] {
			return address.String(), nil
		}
	}
	return "", fmt.Errorf("no free address in %s", b.addresses)
}
