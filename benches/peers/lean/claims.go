package main

import (
	"context"
	"errors"
	"runtime/debug"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	storagelisters "k8s.io/client-go/listers/storage/v1"
)

// claims finds the provisioners of claims.
type claims struct {
	claims  corelisters.PersistentVolumeClaimLister
	classes storagelisters.StorageClassLister
}

// watchClaims returns once all claims and classes have been read.
func watchClaims(ctx context.Context, clients kubernetes.Interface) (*claims, error) {
	factory := informers.NewSharedInformerFactoryWithOptions(clients, 0, informers.WithTransform(shrink))
	found := &claims{
		claims:  factory.Core().V1().PersistentVolumeClaims().Lister(),
		classes: factory.Storage().V1().StorageClasses().Lister(),
	}
	factory.Start(ctx.Done())
	for _, synced := range factory.WaitForCacheSync(ctx.Done()) {
		if !synced {
			return nil, errors.New("interrupted while claims were read")
		}
	}
	// An idle process would collect the garbage of the lists only after two minutes.
	debug.FreeOSMemory()
	return found, nil
}

// shrink keeps only the fields that a decision needs.
func shrink(object any) (any, error) {
	switch object := object.(type) {
	case *corev1.PersistentVolumeClaim:
		return &corev1.PersistentVolumeClaim{
			ObjectMeta: metav1.ObjectMeta{Namespace: object.Namespace, Name: object.Name},
			Spec:       corev1.PersistentVolumeClaimSpec{StorageClassName: object.Spec.StorageClassName},
		}, nil
	case *storagev1.StorageClass:
		return &storagev1.StorageClass{
			ObjectMeta:  metav1.ObjectMeta{Name: object.Name},
			Provisioner: object.Provisioner,
		}, nil
	default:
		return object, nil
	}
}

// arePortworx returns whether Portworx provisions one of the claims in a namespace.
func (c *claims) arePortworx(namespace string, volumes []volume) bool {
	for _, volume := range volumes {
		if volume.Claim == nil {
			continue
		}
		claim, err := c.claims.PersistentVolumeClaims(namespace).Get(volume.Claim.Name)
		if err != nil || claim.Spec.StorageClassName == nil {
			continue
		}
		class, err := c.classes.Get(*claim.Spec.StorageClassName)
		if err != nil {
			continue
		}
		if class.Provisioner == "pxd.portworx.com" || class.Provisioner == "kubernetes.io/portworx-volume" {
			return true
		}
	}
	return false
}
