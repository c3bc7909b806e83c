package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"sync"
)

const (
	scheduler        = "stork"
	defaultScheduler = "default-scheduler"
	optOut           = "stork.libopenstorage.org/disableHyperconvergence"

	// largest is the size of a review that is still read, as in controller-runtime.
	largest = 7 << 20
)

// The fields of a review that a decision needs.
type (
	review struct {
		Request *struct {
			UID       string `json:"uid"`
			Namespace string `json:"namespace"`
			Object    object `json:"object"`
		} `json:"request"`
	}
	object struct {
		Metadata metadata `json:"metadata"`
		Spec     struct {
			podSpec
			Template *struct {
				Metadata metadata `json:"metadata"`
				Spec     podSpec  `json:"spec"`
			} `json:"template"`
		} `json:"spec"`
	}
	metadata struct {
		Annotations map[string]string `json:"annotations"`
	}
	podSpec struct {
		NodeName      string   `json:"nodeName"`
		SchedulerName string   `json:"schedulerName"`
		Volumes       []volume `json:"volumes"`
	}
	volume struct {
		Claim *struct {
			Name string `json:"claimName"`
		} `json:"persistentVolumeClaim"`
	}
)

type (
	answer struct {
		Kind       string   `json:"kind"`
		APIVersion string   `json:"apiVersion"`
		Response   response `json:"response"`
	}
	response struct {
		UID       string `json:"uid"`
		Allowed   bool   `json:"allowed"`
		PatchType string `json:"patchType,omitempty"`
		Patch     []byte `json:"patch,omitempty"`
	}
)

// The patches of a pod and of a template.
var (
	podPatch      = patch("/spec/schedulerName")
	templatePatch = patch("/spec/template/spec/schedulerName")
)

func patch(path string) []byte {
	return []byte(`[{"op":"add","path":"` + path + `","value":"` + scheduler + `"}]`)
}

var bodies = sync.Pool{New: func() any { return new(bytes.Buffer) }}

func (c *claims) mutate(w http.ResponseWriter, r *http.Request) {
	body := bodies.Get().(*bytes.Buffer)
	defer bodies.Put(body)
	body.Reset()
	if _, err := io.Copy(body, http.MaxBytesReader(w, r.Body, largest)); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	var review review
	if err := json.Unmarshal(body.Bytes(), &review); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if review.Request == nil {
		http.Error(w, "the review has no request", http.StatusBadRequest)
		return
	}
	answer := answer{Kind: "AdmissionReview", APIVersion: "admission.k8s.io/v1"}
	answer.Response = response{UID: review.Request.UID, Allowed: true}
	if patch := c.patch(review.Request.Namespace, &review.Request.Object); patch != nil {
		answer.Response.PatchType, answer.Response.Patch = "JSONPatch", patch
	}
	text, err := json.Marshal(answer)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(text)
}

// patch returns the change of an object, or nil.
func (c *claims) patch(namespace string, object *object) []byte {
	metadata, spec, patch := &object.Metadata, &object.Spec.podSpec, podPatch
	if template := object.Spec.Template; template != nil {
		metadata, spec, patch = &template.Metadata, &template.Spec, templatePatch
	}
	if spec.NodeName != "" || spec.SchedulerName != "" && spec.SchedulerName != defaultScheduler {
		return nil
	}
	if disabled, _ := strconv.ParseBool(metadata.Annotations[optOut]); disabled {
		return nil
	}
	if !c.arePortworx(namespace, spec.Volumes) {
		return nil
	}
	return patch
}
