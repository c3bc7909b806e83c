{{/*
matchConditions of the mutating webhooks. They keep API servers from calling colocate for objects that it cannot change.

If an expression fails, for example on a missing key, the API server applies the failurePolicy, so every path is guarded. The
conditions may let too much through, because the program checks again.
*/}}

{{/* The values that Go's strconv.ParseBool parses as true. */}}
{{- define "colocate.true" -}}
["1","t","T","TRUE","true","True"]
{{- end -}}

{{/* Lists in CEL syntax. */}}

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

{{/* Conditions for the pod or pod template at `at`. With more than 2,000 volumes, the server checks them instead. */}}
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
    || has({{ $scheduler }}) && {{ $scheduler }} in {{ $schedulers }}
- name: scheduler
  # A replaceable scheduler, or a driver's scheduler that may not fit the object, which causes a warning. Controllers show no warnings.
  expression: >-
    !has({{ $scheduler }}) || {{ $scheduler }} in {{ include "colocate.replaceable" .root }} ||
    ({{ $scheduler }} in {{ $schedulers }} && (({{ include "colocate.uncontrolled" . }}) ||
    {{ $annotated }} && {{ $optOuts }}.exists(k, k in {{ $annotations }})))
- name: opt-out
  expression: >-
    !({{ $annotated }}) ||
    !{{ $optOuts }}.exists(k, k in {{ $annotations }} && {{ $annotations }}[k] in {{ include "colocate.true" . }}) ||
    (has({{ $scheduler }}) && {{ $scheduler }} in {{ $schedulers }})
- name: node
  expression: "!has({{ .at }}.spec.nodeName) || {{ .at }}.spec.nodeName == ''"
{{- end -}}

{{/* Conditions for a workload whose pod template is at `object.` + `at`. */}}
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
    {{ include "colocate.uncontrolled" . }}
{{- end -}}

{{/* The object has no controller. With more than 1,000 owners, the server checks it instead. */}}
{{- define "colocate.uncontrolled" -}}
!has(object.metadata.ownerReferences) || size(object.metadata.ownerReferences) > 1000 ||
    !object.metadata.ownerReferences.exists(o, has(o.controller) && o.controller)
{{- end -}}

{{/* Conditions for updates of immutable pod specs (at `at`): only an update that would drop the scheduler needs colocate. */}}
{{- define "colocate.updateConditions" -}}
- name: scheduler
  expression: >-
    has(oldObject.{{ .at }}.schedulerName) && oldObject.{{ .at }}.schedulerName in {{ include "colocate.schedulers" .root }} &&
    (!has(object.{{ .at }}.schedulerName) || object.{{ .at }}.schedulerName in {{ include "colocate.replaceable" .root }})
{{- end -}}

{{/* Conditions for custom workloads: one of their templates changed. */}}
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

{{/* The deduplicated paths of custom workloads, each a list of keys. */}}
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
The value at `keys` in `object`, or `else`. In built-in kinds, the first key (`metadata`, `spec`) always exists. In custom resources, a
key may be missing or not be an identifier, and its value may have any type.
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
