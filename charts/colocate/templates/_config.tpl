{{/* The configuration of the program. */}}

{{/* The names of this chart's objects, in the format of the configuration. */}}
{{- define "colocate.names" -}}
{{- $name := include "colocate.fullname" . -}}
secret:
  namespace: {{ .Release.Namespace | quote }}
  name: {{ $name }}-ca
service:
  namespace: {{ .Release.Namespace | quote }}
  name: {{ $name | quote }}
webhooks:
  mutating: {{ .Values.webhook.name | quote }}
  validating: {{ .Values.webhook.name | quote }}
{{- end -}}

{{/* The host of `webhook.url` without brackets and port. Empty if the value is empty. */}}
{{- define "colocate.urlHost" -}}
{{- with .Values.webhook.url -}}
{{- get (urlParse .) "host" | regexFind "^(\\[[^]]+\\]|[^:]+)" | trimAll "[]" -}}
{{- end -}}
{{- end -}}

{{/* `config` with these names. Helm's YAML parser reads `off` as false, so false is restored to `off`. */}}
{{- define "colocate.configFile" -}}
{{- $config := .Values.config | default dict | deepCopy -}}
{{- $validation := $config.validation | default dict -}}
{{- range $section := list $config $validation ($validation.rules | default dict) -}}
{{- range $key, $value := $section -}}
{{- if eq (toString $value) "false" }}{{ $_ := set $section $key "off" }}{{ end -}}
{{- end -}}
{{- end -}}
{{- $tls := mergeOverwrite (dict) ($config.tls | default dict) (include "colocate.names" . | fromYaml) -}}
{{- with include "colocate.urlHost" . -}}
{{- $_ := set $tls "names" (append ($tls.names | default list) . | uniq) -}}
{{- end -}}
{{- toYaml (set $config "tls" $tls) -}}
{{- end -}}

{{/* The configuration with the program's defaults filled in. Sections are merged key by key. */}}
{{- define "colocate.config" -}}
{{- $config := .Files.Get "files/defaults.yaml" | fromYaml -}}
{{- range $key, $value := include "colocate.configFile" . | fromYaml -}}
{{- if kindIs "map" $value -}}
{{- $section := get $config $key | default dict -}}
{{- range $inner, $own := $value -}}
{{- if not (kindIs "invalid" $own) }}{{ $_ := set $section $inner $own }}{{ end -}}
{{- end -}}
{{- $_ := set $config $key $section -}}
{{- else if not (kindIs "invalid" $value) -}}
{{- $_ := set $config $key $value -}}
{{- end -}}
{{- end -}}
{{- toJson $config -}}
{{- end -}}

{{/*
The parts that a process reads only at start. A change to them replaces the pods, because running pods would keep using the old names,
for which the RBAC rules are already gone.
*/}}
{{- define "colocate.readAtStart" -}}
{{- $config := include "colocate.config" . | fromJson -}}
{{- $schedulers := list -}}
{{- range $config.drivers -}}
{{- $scheduler := .scheduler -}}
{{- if kindIs "map" $scheduler -}}
{{- /* Policies such as `whenAbsent` take effect without a restart. */ -}}
{{- range $key := keys $scheduler }}{{ if hasPrefix "when" $key }}{{ $scheduler = omit $scheduler $key }}{{ end }}{{ end -}}
{{- end -}}
{{- if or $scheduler (eq .name "portworx") }}{{ $schedulers = append $schedulers $scheduler }}{{ end -}}
{{- end -}}
{{- $limits := omit $config.missingClaim "wait" "then" -}}
{{- list $config.namespaces $config.events $config.tls $config.drain $limits $schedulers | toJson -}}
{{- end -}}

{{/*
The drivers that have a scheduler, with the built-in driver's defaults filled in: `{provisioners, recognises, scheduler, leases}`, the
latter two as names. The others are only counted by `colocate locality`.
*/}}
{{- define "colocate.drivers" -}}
{{- $builtIn := first (.Files.Get "files/defaults.yaml" | fromYaml).drivers -}}
{{- $drivers := list -}}
{{- range (include "colocate.config" . | fromJson).drivers -}}
{{- $isBuiltIn := eq .name $builtIn.name -}}
{{- $scheduler := kindIs "map" .scheduler | ternary .scheduler (dict "name" .scheduler) -}}
{{- $name := $scheduler.name | default (ternary $builtIn.scheduler "" $isBuiltIn) -}}
{{- if $name -}}
{{- $leases := list -}}
{{- if kindIs "slice" $scheduler.leases -}}
{{- range $scheduler.leases }}{{ $leases = append $leases .name }}{{ end -}}
{{- else if $scheduler.lease -}}
{{- $leases = list $scheduler.lease.name -}}
{{- else if and $isBuiltIn (eq $name $builtIn.scheduler) -}}
{{- $leases = list "stork-scheduler" "stork" -}}
{{- end -}}
{{- $provisioners := .provisioners | default $builtIn.provisioners -}}
{{- $drivers = append $drivers (dict "provisioners" $provisioners "recognises" .recognises "scheduler" $name "leases" $leases) -}}
{{- end -}}
{{- end -}}
{{- toJson $drivers -}}
{{- end -}}

{{/* Whether annotations are validated. */}}
{{- define "colocate.validates" -}}
{{- if ne ((include "colocate.config" . | fromJson).validation | default (dict "mode" "off")).mode "off" }}true{{ end -}}
{{- end -}}

{{/* Whether warnings about pods are recorded as Events. */}}
{{- define "colocate.recordsEvents" -}}
{{- if ((include "colocate.config" . | fromJson).events | default dict).enabled }}true{{ end -}}
{{- end -}}

{{/* The names of excluded and included namespaces. */}}

{{- define "colocate.excluded" -}}
{{- concat (list "kube-system" "kube-node-lease" .Release.Namespace) .Values.webhook.namespaces.exclude | uniq | toJson -}}
{{- end -}}

{{- define "colocate.included" -}}
{{- .Values.webhook.namespaces.include | default (include "colocate.config" . | fromJson).namespaces | toJson -}}
{{- end -}}
