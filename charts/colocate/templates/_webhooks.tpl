{{/*
The fields common to all webhooks. `path` is the URL path that is called. `optOuts` are labels that opt an object out. If `restores`,
labels of the Namespace and of the object have no effect: they may have been set since the object was created.
*/}}
{{- define "colocate.webhook" -}}
{{- $webhook := .root.Values.webhook -}}
clientConfig:
  {{- if $webhook.url }}
  url: {{ trimSuffix "/" $webhook.url }}{{ .path }}
  {{- else }}
  service:
    namespace: {{ .root.Release.Namespace | quote }}
    name: {{ include "colocate.fullname" .root | quote }}
    port: {{ .root.Values.service.port }}
    path: {{ .path }}
  {{- end }}
admissionReviewVersions: [v1]
{{- /* An Event is a side effect. A dry run records none. */}}
sideEffects: {{ if and (eq .path "/mutate") (include "colocate.recordsEvents" .root) }}NoneOnDryRun{{ else }}None{{ end }}
matchPolicy: Equivalent
failurePolicy: {{ $webhook.failurePolicy }}
timeoutSeconds: {{ $webhook.timeoutSeconds }}
namespaceSelector:
  matchExpressions:
  - key: kubernetes.io/metadata.name
    operator: NotIn
    values: {{ include "colocate.excluded" .root }}
  {{- if not .restores }}
  - key: {{ (include "colocate.config" .root | fromJson).optOut.namespaceLabel | quote }}
    operator: NotIn
    values: {{ include "colocate.true" . }}
  {{- end }}
  {{- with include "colocate.included" .root | fromJsonArray }}
  - key: kubernetes.io/metadata.name
    operator: In
    values: {{ toJson . }}
  {{- end }}
  {{- with $webhook.namespaces.matchExpressions }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- $expressions := list -}}
{{- range .optOuts -}}
{{- $expressions = append $expressions (dict "key" . "operator" "NotIn" "values" (include "colocate.true" $ | fromJsonArray)) -}}
{{- end -}}
{{- $selector := ternary dict ($webhook.objectSelector | default dict) (.restores | default false) -}}
{{- $expressions = concat $expressions ($selector.matchExpressions | default list) -}}
{{- if or $selector.matchLabels $expressions }}
objectSelector:
  {{- with $selector.matchLabels }}
  matchLabels:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $expressions }}
  matchExpressions:
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
{{- end -}}

{{- define "colocate.mutatingWebhook" -}}
{{ include "colocate.webhook" (dict "root" . "path" "/mutate" "optOuts" (include "colocate.config" . | fromJson).optOut.labels) }}
reinvocationPolicy: IfNeeded
{{- end -}}

{{/* A webhook that only restores what cannot change. If it were not called, the API server would reject the update. */}}
{{- define "colocate.restoringWebhook" -}}
{{ include "colocate.webhook" (dict "root" . "path" "/mutate" "restores" true) }}
reinvocationPolicy: IfNeeded
{{- end -}}

{{- define "colocate.validatingWebhook" -}}
{{ include "colocate.webhook" (dict "root" . "path" "/validate") }}
{{- end -}}

{{- define "colocate.webhookAnnotations" -}}
{{- $own := dict -}}
{{- if eq .Values.tls.source "cert-manager" -}}
{{- $_ := set $own "cert-manager.io/inject-ca-from" (printf "%s/%s" .Release.Namespace (include "colocate.fullname" .)) -}}
{{- end -}}
{{- merge $own .Values.webhook.annotations | toYaml -}}
{{- end -}}

{{/* Webhook rules for custom workloads. */}}
{{- define "colocate.customRules" -}}
{{- range (include "colocate.config" . | fromJson).customWorkloads }}
- apiGroups: [{{ .group | quote }}]
  apiVersions: [{{ .version | quote }}]
  resources: [{{ .resource | quote }}]
  operations: [CREATE, UPDATE]
  scope: '*'
{{ end -}}
{{- end -}}
