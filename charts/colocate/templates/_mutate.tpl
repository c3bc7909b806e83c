{{/*
matchConditions of the mutating entries: what could not be changed never reaches colocate.

An expression that fails (a key that is not there) counts as the failurePolicy, so each path is guarded. Kubernetes 1.28, the first
with conditions, knows no optional syntax (`?.`) yet. Whatever they let through, the program decides about itself.
*/}}

{{- define "colocate.hasConditions" -}}
{{- if semverCompare ">=1.28-0" .Capabilities.KubeVersion.Version }}true{{ end -}}
{{- end -}}

{{/* What Go's strconv.ParseBool takes for true. */}}
{{- define "colocate.true" -}}
["1","t","T","TRUE","true","True"]
{{- end -}}

{{/* Lists as CEL has them. */}}

{{- define "colocate.schedulers" -}}
{{- $names := list -}}
{{- range include "colocate.drivers" . | fromJsonArray }}{{ $names = append $names .scheduler }}{{ end -}}
{{- uniq $names | toJson -}}
{{- end -}}

{{- define "colocate.provisioners" -}}
{{- $names := list -}}
{{- range include "colocate.drivers" . | fromJsonArray }}{{ $names = concat $names .provisioners }}{{ end -}}
{{- uniq $names | toJson -}}
{{- end -}}

{{- define "colocate.replaceable" -}}
{{- prepend (include "colocate.config" . | fromJson).replaceableSchedulers "" | uniq | toJson -}}
{{- end -}}

{{/* Of a pod or a pod template, which stands at `at` in the object. With more than 2,000 volumes, looking at each is the server's. */}}
{{- define "colocate.podConditions" -}}
{{- $annotations := printf "%s.metadata.annotations" .at -}}
{{- $annotated := printf "has(%s.metadata) && has(%s)" .at $annotations -}}
{{- $scheduler := printf "%s.spec.schedulerName" .at -}}
{{- $volumes := printf "%s.spec.volumes" .at -}}
{{- $schedulers := include "colocate.schedulers" .root -}}
{{- $optOuts := (include "colocate.config" .root | fromJson).optOut.annotations | toJson -}}
- name: volumes
  expression: >-
    has({{ $volumes }}) && (size({{ $volumes }}) > 2000 || {{ $volumes }}.exists(v,
    has(v.persistentVolumeClaim) || has(v.ephemeral) || has(v.portworxVolume) ||
    (has(v.csi) && v.csi.driver in {{ include "colocate.provisioners" .root }})))
    {{- with .claimTemplates }}
    || has({{ . }}) && size({{ . }}) > 0
    {{- end }}
- name: scheduler
  # One that may be replaced; a driver's only beside an opt-out, which then earns a warning.
  expression: >-
    !has({{ $scheduler }}) || {{ $scheduler }} in {{ include "colocate.replaceable" .root }} ||
    ({{ $scheduler }} in {{ $schedulers }} && {{ $annotated }} && {{ $optOuts }}.exists(k, k in {{ $annotations }}))
- name: opt-out
  expression: >-
    !({{ $annotated }}) ||
    !{{ $optOuts }}.exists(k, k in {{ $annotations }} && {{ $annotations }}[k] in {{ include "colocate.true" . }}) ||
    (has({{ $scheduler }}) && {{ $scheduler }} in {{ $schedulers }})
- name: node
  expression: "!has({{ .at }}.spec.nodeName) || {{ .at }}.spec.nodeName == ''"
{{- end -}}

{{/* Of a workload whose template stands at `at`, behind `object.`. */}}
{{- define "colocate.workloadConditions" -}}
- name: template
  expression: >-
    has(object.{{ .at }}) &&
    (request.operation == 'CREATE' || !has(oldObject.{{ .at }}) || object.{{ .at }} != oldObject.{{ .at }})
{{ include "colocate.controllerCondition" . }}
{{ include "colocate.podConditions" (merge (dict "at" (printf "object.%s" .at)) .) }}
{{- end -}}

{{- define "colocate.controllerCondition" -}}
- name: controller
  expression: >-
    !has(object.metadata.ownerReferences) || size(object.metadata.ownerReferences) > 1000 ||
    !object.metadata.ownerReferences.exists(o, has(o.controller) && o.controller)
{{- end -}}

{{/* Of an update of what is immutable, but for an update that would take the scheduler away. `at`: where the pod's spec stands. */}}
{{- define "colocate.updateConditions" -}}
- name: scheduler
  expression: >-
    has(oldObject.{{ .at }}.schedulerName) && oldObject.{{ .at }}.schedulerName in {{ include "colocate.schedulers" .root }} &&
    (!has(object.{{ .at }}.schedulerName) || object.{{ .at }}.schedulerName in {{ include "colocate.replaceable" .root }})
{{- end -}}

{{/* Of custom workloads: whether one of their templates changed. */}}
{{- define "colocate.customConditions" -}}
- name: template
  expression: >-
    request.operation == 'CREATE'
    {{- range include "colocate.customPaths" . | fromJsonArray }}
    || {{ include "colocate.at" (dict "object" "object" "keys" . "else" "{}" "custom" true) }} !=
    {{ include "colocate.at" (dict "object" "oldObject" "keys" . "else" "{}" "custom" true) }}
    {{- end }}
{{ include "colocate.controllerCondition" . }}
{{- end -}}

{{/* The paths of custom workloads, each a list of keys, none twice. */}}
{{- define "colocate.customPaths" -}}
{{- $paths := list -}}
{{- range (include "colocate.config" . | fromJson).customWorkloads -}}
{{- $keys := list -}}
{{- range splitList "/" (trimPrefix "/" .path) -}}
{{- $keys = append $keys (. | replace "~1" "/" | replace "~0" "~") -}}
{{- end -}}
{{- $paths = append $paths $keys -}}
{{- end -}}
{{- uniq $paths | toJson -}}
{{- end -}}

{{/*
What stands at `keys` in `object`, or `else`. Of the built-in kinds, what they begin with (`metadata`, `spec`) is always there; of custom
resources nothing is known: not that a key is there, nor that it is a word, nor of what type its value is.
*/}}
{{- define "colocate.at" -}}
{{- $value := .object -}}
{{- $guards := list -}}
{{- $last := sub (len .keys) 1 | int -}}
{{- range $i, $key := .keys -}}
{{- if $.custom -}}
{{- $guards = append $guards (printf "%s in %s" (toJson $key) $value) -}}
{{- $value = printf "%s[%s]" $value (toJson $key) -}}
{{- $guards = append $guards (printf "type(%s) == %s" $value (and (eq $i $last) (get (dict "[]" "list" "''" "string") $.else) | default "map")) -}}
{{- else -}}
{{- $value = printf "%s.%s" $value $key -}}
{{- if or $i (eq $last 0) }}{{ $guards = append $guards (printf "has(%s)" $value) }}{{ end -}}
{{- end -}}
{{- end -}}
({{ join " && " $guards }} ? {{ $value }} : {{ .else }})
{{- end -}}
