//go:build !without_controller_manager

package main

import (
	"k8s.io/component-base/cli"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
)

func init() {
	words["kube-controller-manager"] = func() int { return cli.Run(controllermanager.NewControllerManagerCommand()) }
}
