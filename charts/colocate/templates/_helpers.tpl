{{/* Names. */}}

{{- define "colocate.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "colocate.fullname" -}}
{{- $name := include "colocate.name" . -}}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- /* Leaves room for suffixes. */ -}}
{{- default $full .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{- define "colocate.serviceAccountName" -}}
{{- .Values.serviceAccount.name | default (include "colocate.fullname" .) -}}
{{- end -}}

{{- define "colocate.image" -}}
{{- $image := .Values.image -}}
{{- $repository := $image.registry | empty | ternary $image.repository (printf "%s/%s" $image.registry $image.repository) -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $repository $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $repository (default .Chart.AppVersion $image.tag) -}}
{{- end -}}
{{- end -}}

{{/* Metadata. */}}

{{- define "colocate.selectorLabels" -}}
app.kubernetes.io/name: {{ include "colocate.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{/* The labels and annotations of an object: those common to all objects, and its own `labels` and `annotations`. */}}
{{- define "colocate.metadata" -}}
{{- $root := .root -}}
{{- $labels := include "colocate.selectorLabels" $root | fromYaml -}}
{{- $_ := set $labels "helm.sh/chart" (printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_") -}}
{{- $_ := set $labels "app.kubernetes.io/version" $root.Chart.AppVersion -}}
{{- $_ := set $labels "app.kubernetes.io/managed-by" $root.Release.Service -}}
labels:
  {{- merge (dict) (.labels | default dict) $labels $root.Values.commonLabels | toYaml | nindent 2 }}
{{- with merge (dict) (.annotations | default dict) $root.Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/*
The Deployment strategy. A new pod becomes ready before an old one stops. With host ports, an old pod stops
first: if every node already runs a pod, a new one would wait for a free port indefinitely.
*/}}
{{- define "colocate.strategy" -}}
{{- $surges := not .Values.hostNetwork.enabled -}}
{{- $rolling := dict "maxUnavailable" ($surges | ternary 0 1) "maxSurge" ($surges | ternary 1 0) -}}
{{- .Values.strategy | default (dict "type" "RollingUpdate" "rollingUpdate" $rolling) | toYaml -}}
{{- end -}}

{{/* The address to listen on. `[::]` covers IPv4 and IPv6. */}}
{{- define "colocate.host" -}}
{{- $service := .Values.service -}}
{{- or (contains "DualStack" $service.ipFamilyPolicy) (has "IPv6" $service.ipFamilies) | ternary "[::]" "0.0.0.0" -}}
{{- end -}}

{{- define "colocate.port" -}}
{{- .Values.hostNetwork.enabled | ternary .Values.hostNetwork.port 8443 | int -}}
{{- end -}}

{{- define "colocate.adminPort" -}}
{{- .Values.hostNetwork.enabled | ternary .Values.hostNetwork.adminPort 8080 | int -}}
{{- end -}}

{{/* Whether colocate writes the caBundle. */}}
{{- define "colocate.keepsTrust" -}}
{{- $tls := .Values.tls -}}
{{- if or (eq $tls.source "self") (and (eq $tls.source "existingSecret") $tls.existingSecret.caKey) }}true{{ end -}}
{{- end -}}

{{/* Why `helm test` cannot pass and what to set. Empty if it can pass. */}}
{{- define "colocate.noTest" -}}
{{- $config := include "colocate.config" . | fromJson -}}
{{- if ne $config.mode "inject" -}}
`mode: {{ $config.mode }}` changes nothing: set config.mode to `inject`
{{- else if ne $config.templates "inject" -}}
`templates: {{ $config.templates }}` does not change its Deployment: set config.templates to `inject`
{{- else if not (include "colocate.probes" .) -}}
its volume is not one that the first driver's scheduler recognizes: list another driver first
{{- else if not (or .Values.webhook.url .Values.autoscaling.enabled .Values.replicaCount) -}}
no replica runs: set replicaCount
{{- else if not (include "colocate.testNamespace" .) -}}
its namespace is excluded: set test.namespace to an included one, not the release's own
{{- else if not (include "colocate.hasTest" .) -}}
its pod has no permissions: set test.serviceAccountName to one that can create Deployments in {{ include "colocate.testNamespace" . }}
{{- end -}}
{{- end -}}

{{/* Whether the first driver's scheduler recognizes a volume that a pod can mount without a claim. */}}
{{- define "colocate.probes" -}}
{{- with first (include "colocate.drivers" . | fromJsonArray) -}}
{{- $recognises := .recognises | default (list "inlineCsi") -}}
{{- if or (has "inlineCsi" $recognises) (and (has "inTree" $recognises) (has "kubernetes.io/portworx-volume" .provisioners)) }}true{{ end -}}
{{- end -}}
{{- end -}}

{{/* Whether the chart has a test. It needs a namespace and a ServiceAccount, either created with its role or provided. */}}
{{- define "colocate.hasTest" -}}
{{- if and (include "colocate.testNamespace" .) (or .Values.rbac.create .Values.test.serviceAccountName) }}true{{ end -}}
{{- end -}}

{{/* The namespace in which `helm test` creates its Deployment. Empty if all candidates are excluded. */}}
{{- define "colocate.testNamespace" -}}
{{- $excluded := include "colocate.excluded" . | fromJsonArray -}}
{{- $candidates := .Values.test.namespace | empty | ternary (include "colocate.included" . | fromJsonArray) (list .Values.test.namespace) -}}
{{- $asked := list -}}
{{- range $candidates | default (list "default") -}}
{{- if not (has . $excluded) }}{{ $asked = append $asked . }}{{ end -}}
{{- end -}}
{{- first $asked | default "" -}}
{{- end -}}

{{/* Converts a Go duration to seconds by adding it to a date. */}}
{{- define "colocate.seconds" -}}
{{- $date := toDate "2006-01-02" "2000-01-01" -}}
{{- sub (dateModify . $date | unixEpoch) (unixEpoch $date) -}}
{{- end -}}

{{/* The name of the Secret with the certificate, unless colocate issues the certificate. */}}
{{- define "colocate.tlsSecret" -}}
{{- eq .Values.tls.source "existingSecret" | ternary .Values.tls.existingSecret.name (printf "%s-tls" (include "colocate.fullname" .)) -}}
{{- end -}}

{{/* Whether a name is an IP address. */}}
{{- define "colocate.isAddress" -}}
{{- if or (contains ":" .) (regexMatch "^[0-9.]+$" .) }}true{{ end -}}
{{- end -}}
