{{/* matchConditions of the validating entries: what has nothing to be validated never reaches colocate. */}}

{{/*
Whether a key `k` is validated: one with Stork's prefix; one with a name of Stork's behind another prefix, or behind none; one that the
configuration chose for opting out; or one whose prefix is Stork's but for three mistakes. Of its 24 letters in seven pieces, three
mistakes leave one piece whole, since each swaps two letters at most.
*/}}
{{- define "colocate.isValidated" -}}
{{- $names := "preferLocalNodeOnly|preferRemoteNodeOnly|preferRemoteNode|disableHyperconvergence|disable-admission-controller|skipSchedulerScoring" -}}
{{- $keys := list "openstorage" (printf "(^|/)(%s)$" $names) "^placement_strategy$" -}}
{{- $optOut := (include "colocate.config" . | fromJson).optOut -}}
{{- range append $optOut.annotations $optOut.namespaceLabel | uniq -}}
{{- if not (contains "openstorage" .) }}{{ $keys = append $keys (printf "^%s$" (regexQuoteMeta .)) }}{{ end -}}
{{- end -}}
(k.matches({{ printf "(?i)%s" (join "|" $keys) | toJson }}) ||
    k.matches("^.{21,27}/[^/]*$") && k.matches("(?i)(stor|k\\.li|bope|nst|ora|ge\\.|org).*/"))
{{- end -}}

{{/*
Such a key is among the annotations or labels of the object or of its `templates`, among its `parameters`, or in a claim template: of
its `claims`, or of the generic ephemeral volumes of its `pods`. And at UPDATE one of these, or of what is read beside them, is another
than before. `templates`, `claims` and `pods` are paths: lists of keys. With more than 100 keys, or 2,000 volumes, looking at each is
the server's.
*/}}
{{- define "colocate.validateConditions" -}}
{{- $new := dict "object" "object" "custom" .custom -}}
{{- $old := dict "object" "oldObject" "custom" .custom -}}
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
{{- /* Whether a pod is Stork's to schedule hangs on its scheduler, and may hang on its owner. */ -}}
{{- $owners := (include "colocate.config" .root | fromJson).optOut.owners | empty | ternary list (list (list "metadata" "ownerReferences")) -}}
{{- $key := include "colocate.isValidated" .root -}}
- name: keys
  expression: >-
    {{- range $volumes }}
    size({{ include "colocate.at" (merge (dict "keys" .) $new $list) }}) > 2000 ||
    {{- end }}
    ([
    {{- range $metadata }}
    {{ include "colocate.at" (merge (dict "keys" .) $new $map) }},
    {{- end }}
    {{- if .parameters }}
    dyn({"annotations": {{ include "colocate.at" (merge (dict "keys" (list "parameters")) $new $map) }}}),
    {{- end }}
    ]
    {{- range .claims }} +
    {{ include "colocate.at" (merge (dict "keys" .) $new $list) }}.map(c, has(c.metadata), c.metadata)
    {{- end }}
    {{- range $volumes }} +
    {{ include "colocate.at" (merge (dict "keys" .) $new $list) }}.map(v, has(v.ephemeral) &&
    has(v.ephemeral.volumeClaimTemplate) && has(v.ephemeral.volumeClaimTemplate.metadata), v.ephemeral.volumeClaimTemplate.metadata)
    {{- end }}
    ).exists(n, [has(n.annotations) ? n.annotations : {}, has(n.labels) ? n.labels : {}].exists(m,
    type(m) == map && (size(m) > 100 || m.exists(k, {{ $key }}))))
- name: changed
  expression: >-
    request.operation == 'CREATE' || [
    {{- range $maps }}
    [{{ include "colocate.at" (merge (dict "keys" .) $new $map) }},
    {{ include "colocate.at" (merge (dict "keys" .) $old $map) }}],
    {{- end }}
    ].exists(m, size(m[0]) > 100 || size(m[1]) > 100 ||
    [[m[0], m[1]], [m[1], m[0]]].exists(n, n[0].exists(k, !(k in n[1] && n[1][k] == n[0][k]) && ({{ $key }} ||
    k.matches("^(sharedv4|sharedv4_svc_type)$|^(cluster-autoscaler\\.kubernetes\\.io|karpenter\\.sh)/")))))
    {{- range concat (.claims | default list) $volumes $owners }}
    || {{ include "colocate.at" (merge (dict "keys" .) $new $list) }} !=
    {{ include "colocate.at" (merge (dict "keys" .) $old $list) }}
    {{- end }}
    {{- range .pods }}
    {{- $scheduler := concat . (list "spec" "schedulerName") }}
    || {{ include "colocate.at" (merge (dict "keys" $scheduler) $new $text) }} !=
    {{ include "colocate.at" (merge (dict "keys" $scheduler) $old $text) }}
    {{- end }}
- name: author
  # What controllers make of what was validated already.
  expression: "!request.userInfo.username.startsWith('system:serviceaccount:kube-system:')"
{{- end -}}

{{/* The same of custom workloads, in which whatever leads to the template may have metadata. */}}
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
