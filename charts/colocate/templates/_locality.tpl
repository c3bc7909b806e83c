{{/* What `colocate locality` and `colocate place` ask storage systems, as a list of {group, resource, name, verbs}. */}}
{{- define "colocate.localityRules" -}}
{{- $builtIn := dict
      "longhorn" (dict "provisioner" "driver.longhorn.io" "group" "longhorn.io" "resource" "replicas")
      "hwameistor" (dict "provisioner" "lvm.hwameistor.io" "group" "hwameistor.io" "resource" "localvolumereplicas")
      "topolvm" (dict "provisioner" "topolvm.io" "group" "topolvm.io" "resource" "logicalvolumes")
      "openebs-lvm" (dict "provisioner" "local.csi.openebs.io" "group" "local.openebs.io" "resource" "lvmvolumes")
      "linstor" (dict "provisioner" "linstor.csi.linbit.com" "group" "internal.linstor.linbit.com" "resource" "resources")
-}}
{{- $portworx := list "kubernetes.io/portworx-volume" "pxd.portworx.com" "com.openstorage.pxd" -}}
{{- $rules := list -}}
{{- range $driver := (include "colocate.config" . | fromJson).drivers -}}
{{- $entries := list -}}
{{- if kindIs "slice" $driver.locality -}}
{{- $entries = $driver.locality -}}
{{- else -}}
{{- $provisioners := $driver.provisioners | default (list "pxd.portworx.com") -}}
{{- range $provisioner := $provisioners -}}
{{- if has $provisioner $portworx -}}
{{- $entries = concat $entries (list (dict "kind" "openStorage") (dict "kind" "extender")) -}}
{{- end -}}
{{- range $name, $resource := $builtIn -}}
{{- if eq $provisioner $resource.provisioner -}}
{{- $entries = append $entries (dict "kind" "customResource" "name" $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range $entry := $entries -}}
{{- if eq $entry.kind "openStorage" -}}
{{- $service := $entry.service | default dict -}}
{{- $name := printf "%s%s:%d" (ternary "https:" "" ($service.tls | default false)) ($service.name | default "portworx-api") ($service.port | default 9021 | int) -}}
{{- $rules = append $rules (dict "group" "" "resource" "services/proxy" "name" $name "verbs" (list "get" "create")) -}}
{{- else if eq $entry.kind "extender" -}}
{{- $service := $entry.service | default dict -}}
{{- $name := printf "%s%s:%d" (ternary "https:" "" ($service.tls | default false)) ($service.name | default "stork-service") ($service.port | default 8099 | int) -}}
{{- $rules = append $rules (dict "group" "" "resource" "services/proxy" "name" $name "verbs" (list "create")) -}}
{{- else if eq $entry.kind "customResource" -}}
{{- $resource := get $builtIn ($entry.name | default "") | default $entry -}}
{{- $rules = append $rules (dict "group" $resource.group "resource" $resource.resource "verbs" (list "get" "list")) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $rules | uniq | toJson -}}
{{- end -}}
