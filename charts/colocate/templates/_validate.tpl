{{/* matchConditions of the validating entries: what has nothing to be validated never reaches colocate. */}}

{{/*
A regular expression for keys that are validated: those with Stork's prefix, or with something near it, those with one of Stork's names
behind another prefix or none, and those that the configuration chose for opting out.
*/}}
{{- define "colocate.validatedKeys" -}}
{{- $names := list "preferLocalNodeOnly" "preferRemoteNodeOnly" "preferRemoteNode" "disableHyperconvergence" "disable-admission-controller" "skipSchedulerScoring" -}}
{{- $keys := list "openstorage" (printf "(^|/)(%s)$" (join "|" $names)) -}}
{{- $optOut := (include "colocate.config" . | fromJson).optOut -}}
{{- range append $optOut.annotations $optOut.namespaceLabel | uniq -}}
{{- if not (contains "openstorage" .) }}{{ $keys = append $keys (printf "^%s$" (regexQuoteMeta .)) }}{{ end -}}
{{- end -}}
(?i){{ join "|" $keys }}
{{- end -}}

{{/*
One of those keys is among the annotations or labels of the object or of its `templates`, among its `parameters`, or among the annotations of
its claim templates (`claims`); and at UPDATE, one of these, or of what is read beside them, is another than before. With more than 100
keys, looking at each is the server's. `templates` and `claims` are paths: lists of keys.
*/}}
{{- define "colocate.validateConditions" -}}
{{- $new := dict "object" "object" "custom" .custom -}}
{{- $old := dict "object" "oldObject" "custom" .custom -}}
{{- $map := dict "else" "{}" -}}
{{- $list := dict "else" "[]" -}}
{{- $maps := list -}}
{{- range prepend (.templates | default list) list -}}
{{- $maps = concat $maps (list (concat . (list "metadata" "annotations")) (concat . (list "metadata" "labels"))) -}}
{{- end -}}
{{- if .parameters }}{{ $maps = append $maps (list "parameters") }}{{ end -}}
{{- $pattern := include "colocate.validatedKeys" .root -}}
{{- $keys := toJson $pattern -}}
{{- $beside := printf "%s|^(placement_strategy|sharedv4|sharedv4_svc_type)$" $pattern | toJson -}}
- name: keys
  expression: >-
    [
    {{- range $maps }}
    {{ include "colocate.at" (merge (dict "keys" .) $new $map) }},
    {{- end }}
    ].exists(m, size(m) > 100 || m.exists(k, k.matches({{ $keys }})))
    {{- range .claims }}
    || {{ include "colocate.at" (merge (dict "keys" .) $new $list) }}.exists(t,
    has(t.metadata) && has(t.metadata.annotations) && type(t.metadata.annotations) == map && t.metadata.annotations.exists(k, k.matches({{ $keys }})))
    {{- end }}
- name: changed
  expression: >-
    request.operation == 'CREATE' || [
    {{- range $maps }}
    [{{ include "colocate.at" (merge (dict "keys" .) $new $map) }},
    {{ include "colocate.at" (merge (dict "keys" .) $old $map) }}],
    {{- end }}
    ].exists(m, size(m[0]) > 100 || size(m[1]) > 100 ||
    m[0].exists(k, !(k in m[1] && m[1][k] == m[0][k]) && k.matches({{ $beside }})) ||
    m[1].exists(k, !(k in m[0]) && k.matches({{ $beside }})))
    {{- range .claims }}
    || {{ include "colocate.at" (merge (dict "keys" .) $new $list) }} !=
    {{ include "colocate.at" (merge (dict "keys" .) $old $list) }}
    {{- end }}
- name: author
  # What controllers make of what was validated already.
  expression: >-
    request.operation != 'CREATE' || !request.userInfo.username.startsWith('system:serviceaccount:kube-system:')
{{- end -}}

{{/* The same of custom workloads. */}}
{{- define "colocate.customValidateConditions" -}}
{{- $templates := include "colocate.customPaths" . | fromJsonArray -}}
{{- $claims := list -}}
{{- range $templates }}{{ $claims = append $claims (append (initial .) "volumeClaimTemplates") }}{{ end -}}
{{- include "colocate.validateConditions" (dict "root" . "templates" $templates "claims" (uniq $claims) "custom" true) -}}
{{- end -}}
