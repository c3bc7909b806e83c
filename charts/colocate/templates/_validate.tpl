{{/* matchConditions of the validating webhooks. They keep API servers from calling colocate if there is nothing to validate. */}}

{{/*
Whether a key `k` is validated. These keys are:

- a key with Stork's prefix,
- one of Stork's names with another prefix or none,
- a key that the configuration uses for opting out,
- a key whose prefix is Stork's with up to three typos (the prefix has 24 letters in seven pieces; a typo swaps at most two letters,
  so three typos leave at least one piece intact),
- a key of more than 100 characters, because the cost of `matches` grows with the length.
*/}}
{{- define "colocate.isValidated" -}}
{{- $names := "preferLocalNodeOnly|preferRemoteNodeOnly|preferRemoteNode|disableHyperconvergence|disable-admission-controller|skipSchedulerScoring" -}}
{{- $optOut := (include "colocate.config" . | fromJson).optOut -}}
{{- $chosen := list -}}
{{- range append (concat $optOut.annotations $optOut.labels) $optOut.namespaceLabel | uniq -}}
{{- if not (contains "openstorage" .) }}{{ $chosen = append $chosen . }}{{ end -}}
{{- end -}}
(size(k) > 100 || k.matches({{ printf "(?i)openstorage|(^|/)(%s)$|^placement_strategy$" $names | toJson }}) ||
    k.matches("^.{21,27}/[^/]*$") && k.matches("(?i)(stor|k\\.li|bope|nst|ora|ge\\.|org).*/")
    {{- with $chosen }} || k in {{ toJson . }}{{ end }})
{{- end -}}

{{/*
Conditions for objects with a key to validate. Such a key may be in:

- the annotations or labels of the object or of its `templates`,
- its `parameters`, where the values of some more keys are validated on their own,
- a claim template: one of its `claims`, or of the generic ephemeral volumes of its `pods`.

For an UPDATE, one of these keys, or another field that the validation reads, must have changed. `templates`, `claims` and `pods` are
lists of paths, and a path is a list of keys.

An API server aborts an expression that costs more than 1,000,000, and a webhook whose expressions together cost more than 2,500,000
(`PerCallLimit` and `RuntimeCELCostBudgetMatchConditions` in its pkg/apis/cel/config.go). It then applies the failurePolicy. Large
objects are therefore let through, and the server checks them. Upper bounds of the costs:

- `keys`: 80 for each of 1,000 volumes and claim templates, and 670 for each of 400 keys: 350,000.
- `changed`: 910 for each of 400 keys of both objects, and a tenth of the characters of the old values, which fit in a request of
  3 MiB: 680,000.
*/}}
{{- define "colocate.validateConditions" -}}
{{- $new := dict "object" "object" "custom" .custom -}}
{{- $either := dict "object" "o" "custom" .custom -}}
{{- $map := dict "else" "{}" -}}
{{- $list := dict "else" "[]" -}}
{{- $text := dict "else" "''" -}}
{{- $maps := .parameters | default false | ternary (list (list "parameters")) list -}}
{{- $metadata := list -}}
{{- range prepend (.templates | default list) list -}}
{{- $metadata = append $metadata (append . "metadata") -}}
{{- $maps = concat $maps (list (concat . (list "metadata" "annotations")) (concat . (list "metadata" "labels"))) -}}
{{- end -}}
{{- $volumes := list -}}
{{- range .pods }}{{ $volumes = append $volumes (concat . (list "spec" "volumes")) }}{{ end -}}
{{- $claims := .claims | default list -}}
{{- /* Whether Stork schedules a pod depends on its scheduler, its node and, if configured, on its owner. */ -}}
{{- $owners := (include "colocate.config" .root | fromJson).optOut.owners | empty | ternary list (list (list "metadata" "ownerReferences")) -}}
{{- $key := include "colocate.isValidated" .root -}}
- name: keys
  expression: >-
    {{- if .parameters }}
    ["sharedv4", "sharedv4_svc_type", "shared"].exists(k, k in {{ include "colocate.at" (merge (dict "keys" (list "parameters")) $new $map) }}) ||
    {{- end }}
    {{- with concat $claims $volumes }}
    {{- range $i, $keys := . }}
    {{ if $i }}+ {{ end }}size({{ include "colocate.at" (merge (dict "keys" $keys) $new $list) }})
    {{- end }} > 1000 ||
    {{- end }}
    [[
    {{- range $metadata }}
    {{ include "colocate.at" (merge (dict "keys" .) $new $map) }},
    {{- end }}
    {{- if .parameters }}
    dyn({"annotations": {{ include "colocate.at" (merge (dict "keys" (list "parameters")) $new $map) }}}),
    {{- end }}
    ]
    {{- range $claims }} +
    {{ include "colocate.at" (merge (dict "keys" .) $new $list) }}.map(c, {{ include "colocate.within" (list $ "c" "metadata") }}, c.metadata)
    {{- end }}
    {{- range $volumes }} +
    {{ include "colocate.at" (merge (dict "keys" .) $new $list) }}.map(v,
    {{ include "colocate.within" (list $ "v" "ephemeral" "volumeClaimTemplate" "metadata") }}, v.ephemeral.volumeClaimTemplate.metadata)
    {{- end }}
    ].exists(all, [
    all.map(n, {{ include "colocate.within" (list . "n" "annotations") }}, n.annotations) +
    all.map(n, {{ include "colocate.within" (list . "n" "labels") }}, n.labels)
    ].exists(maps, maps.map(m, size(m)).sum() > 400 || maps.exists(m, m.exists(k, {{ $key }}))))
- name: changed
  expression: >-
    request.operation == 'CREATE' || [[
    {{- range $maps }}
    [object, oldObject].map(o, {{ include "colocate.at" (merge (dict "keys" .) $either $map) }}),
    {{- end }}
    ]].exists(all, all.map(m, size(m[0]) + size(m[1])).sum() > 400 || all.exists(m,
    (m[0].map(k, !(k in m[1] && m[1][k] == m[0][k]), k) + m[1].map(k, !(k in m[0]), k)).exists(k, {{ $key }} ||
    k.matches("^(sharedv4|sharedv4_svc_type)$|^(cluster-autoscaler\\.kubernetes\\.io|karpenter\\.sh)/"))))
    {{- with concat $claims $volumes $owners }} ||
    [[object, oldObject].map(o, [
    {{- range . }}
    {{ include "colocate.at" (merge (dict "keys" .) $either $list) }},
    {{- end }}
    {{- range $.pods }}
    dyn({{ include "colocate.at" (merge (dict "keys" (concat . (list "spec" "schedulerName"))) $either $text) }}),
    dyn({{ include "colocate.at" (merge (dict "keys" (concat . (list "spec" "priorityClassName"))) $either $text) }}),
    dyn({{ include "colocate.at" (merge (dict "keys" (concat . (list "spec" "nodeName"))) $either $text) }}),
    {{- end }}
    ])].exists(all, all[0] != all[1])
    {{- end }}
- name: author
  # Controllers create objects from others that were already validated.
  expression: "!request.userInfo.username.startsWith('system:serviceaccount:kube-system:')"
{{- end -}}

{{/* Guards for `name.key...`, given as the list `{root, name, keys...}`. With `root.custom`, each value on the path must be a map. */}}
{{- define "colocate.within" -}}
{{- $custom := (first .).custom -}}
{{- $at := "" -}}
{{- $guards := list -}}
{{- range $i, $key := rest . -}}
{{- $at = printf "%s.%s" $at $key | trimPrefix "." -}}
{{- if $i }}{{ $guards = append $guards (printf "has(%s)" $at) }}{{ end -}}
{{- if $custom }}{{ $guards = append $guards (printf "type(%s) == map" $at) }}{{ end -}}
{{- end -}}
{{ join " && " $guards }}
{{- end -}}

{{/* The same conditions for custom workloads. Every object on the path to the template may have metadata. */}}
{{- define "colocate.customValidateConditions" -}}
{{- $templates := list -}}
{{- $claims := list -}}
{{- $pods := include "colocate.customPaths" . | fromJsonArray -}}
{{- range $pods -}}
{{- $at := list -}}
{{- range . -}}
{{- $at = append $at . -}}
{{- $templates = append $templates $at -}}
{{- end -}}
{{- $claims = append $claims (append (initial .) "volumeClaimTemplates") -}}
{{- end -}}
{{- include "colocate.validateConditions" (dict "root" . "templates" (uniq $templates) "claims" (uniq $claims) "pods" $pods "custom" true) -}}
{{- end -}}
