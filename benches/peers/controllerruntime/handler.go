package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
)

const (
	scheduler = "stork"
	optOut    = "stork.libopenstorage.org/disableHyperconvergence"
)

// schedulerSetter sets the scheduler of pods whose claims Portworx provisions.
type schedulerSetter struct {
	reader  client.Reader
	decoder admission.Decoder
}

func (s *schedulerSetter) Handle(ctx context.Context, req admission.Request) admission.Response {
	var object runtime.Object
	var meta *metav1.ObjectMeta
	var spec *corev1.PodSpec
	switch req.Kind.Kind {
	case "Pod":
		pod := &corev1.Pod{}
		object, meta, spec = pod, &pod.ObjectMeta, &pod.Spec
	case "Deployment":
		deployment := &appsv1.Deployment{}
		template := &deployment.Spec.Template
		object, meta, spec = deployment, &template.ObjectMeta, &template.Spec
	default:
		return admission.Allowed("")
	}
	if err := s.decoder.Decode(req, object); err != nil {
		return admission.Errored(http.StatusBadRequest, err)
	}
	if spec.NodeName != "" || spec.SchedulerName != "" && spec.SchedulerName != corev1.DefaultSchedulerName {
		return admission.Allowed("")
	}
	if disabled, _ := strconv.ParseBool(meta.Annotations[optOut]); disabled {
		return admission.Allowed("")
	}
	found, err := s.usesPortworx(ctx, req.Namespace, spec.Volumes)
	if err != nil {
		return admission.Errored(http.StatusInternalServerError, err)
	}
	if !found {
		return admission.Allowed("")
	}
	spec.SchedulerName = scheduler
	changed, err := json.Marshal(object)
	if err != nil {
		return admission.Errored(http.StatusInternalServerError, err)
	}
	return admission.PatchResponseFromRaw(req.Object.Raw, changed)
}

func (s *schedulerSetter) usesPortworx(ctx context.Context, namespace string, volumes []corev1.Volume) (bool, error) {
	for _, volume := range volumes {
		if volume.PersistentVolumeClaim == nil {
			continue
		}
		name := volume.PersistentVolumeClaim.ClaimName
		provisioner, err := s.provisioner(ctx, types.NamespacedName{Namespace: namespace, Name: name})
		if err != nil {
			return false, fmt.Errorf("claim %s/%s: %w", namespace, name, err)
		}
		if provisioner == "pxd.portworx.com" || provisioner == "kubernetes.io/portworx-volume" {
			return true, nil
		}
	}
	return false, nil
}

// provisioner returns the provisioner of a claim, or "" if the claim or its class does not
// exist.
func (s *schedulerSetter) provisioner(ctx context.Context, name types.NamespacedName) (string, error) {
	var claim corev1.PersistentVolumeClaim
	if err := s.reader.Get(ctx, name, &claim); err != nil {
		return "", client.IgnoreNotFound(err)
	}
	if claim.Spec.StorageClassName == nil {
		return "", nil
	}
	var class storagev1.StorageClass
	err := s.reader.Get(ctx, types.NamespacedName{Name: *claim.Spec.StorageClassName}, &class)
	if apierrors.IsNotFound(err) {
		return "", nil
	}
	return class.Provisioner, err
}
