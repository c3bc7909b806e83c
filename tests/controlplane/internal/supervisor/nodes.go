package supervisor

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

func newClientset(kubeconfig string) (kubernetes.Interface, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, err
	}
	config.QPS, config.Burst = clientQPS, clientBurst
	return kubernetes.NewForConfig(config)
}

// waitForServiceAccount returns when pods can be created in the namespace default.
// They are rejected until the controller-manager has created its ServiceAccount.
func waitForServiceAccount(ctx context.Context, client kubernetes.Interface) error {
	return poll(ctx, "the ServiceAccount default/default", func(ctx context.Context) (bool, error) {
		_, err := client.CoreV1().ServiceAccounts(metav1.NamespaceDefault).Get(ctx, "default", metav1.GetOptions{})
		return err == nil, err
	})
}

// newNodes creates node-1 to node-COUNT, which KWOK simulates, and returns when pods
// can be scheduled to all of them.
func newNodes(ctx context.Context, client kubernetes.Interface, count int) error {
	for number := 1; number <= count; number++ {
		name := fmt.Sprintf("node-%d", number)
		node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{
			Name: name,
			Labels: map[string]string{
				corev1.LabelHostname:   name,
				corev1.LabelOSStable:   "linux",
				corev1.LabelArchStable: "amd64",
			},
		}}
		if _, err := client.CoreV1().Nodes().Create(ctx, node, metav1.CreateOptions{}); err != nil {
			return fmt.Errorf("create %s: %w", name, err)
		}
	}
	return poll(ctx, fmt.Sprintf("%d nodes to be Ready", count), func(ctx context.Context) (bool, error) {
		nodes, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
		if err != nil {
			return false, err
		}
		ready := 0
		for _, node := range nodes.Items {
			if usable(&node) {
				ready++
			}
		}
		return ready == count, fmt.Errorf("%d are", ready)
	})
}

// usable reports whether a node is Ready and no longer has the not-ready taint, which
// is removed a little later.
func usable(node *corev1.Node) bool {
	for _, condition := range node.Status.Conditions {
		if condition.Type == corev1.NodeReady {
			return condition.Status == corev1.ConditionTrue && len(node.Spec.Taints) == 0
		}
	}
	return false
}

// poll calls done until it returns true. It retries after errors. On timeout, it
// returns the last one.
func poll(ctx context.Context, what string, done func(context.Context) (bool, error)) error {
	var last error
	err := wait.PollUntilContextTimeout(ctx, probeInterval, startTimeout, true, func(ctx context.Context) (ok bool, _ error) {
		ok, last = done(ctx)
		return ok, nil
	})
	if err == nil {
		return nil
	}
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return fmt.Errorf("waited %s for %s: %w", startTimeout.Round(time.Second), what, last)
}
