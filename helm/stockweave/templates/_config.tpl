{{/* The configuration file of every service: what the chart knows, and the user's sections over it. */}}
{{- define "stockweave.config" -}}
{{- $topics := dict "replication_factor" (int .Values.apply.replicationFactor) }}
{{- if .Values.apply.partitions }}{{ $_ := set $topics "partitions" (int .Values.apply.partitions) }}{{ end }}
{{- $own := dict
  "kafka" (dict "brokers" .Values.kafka.brokers)
  "redis" (dict "addresses" .Values.redis.addresses)
  "registry" (dict "url" .Values.registry.url)
  "topics" $topics
  "policies_dir" "/etc/stockweave/policies"
  "admin" (dict "listen" ":9100")
  "log" (dict "level" .Values.log.level)
  "ingest" (dict "listen" ":8080")
  "atp_api" (dict "listen" ":8082") }}
{{- if .Values.snapshots.enabled }}{{ $_ := set $own "atp" (dict "snapshot_dir" "/var/lib/stockweave") }}{{ end }}
{{- $all := mergeOverwrite $own (deepCopy .Values.config) }}
{{- if and (include "stockweave.settings" (dict "root" . "name" "atp-api") | fromYaml).enabled (not $all.atp_api.keys) (not $all.atp_api.principals) }}
{{- fail "config.atp_api.keys is required while atp-api is enabled: [{name: shop, sha256: <SHA-256 of the key, hex>}], or atp_api.principals: true and policies/access" }}
{{- end }}
{{- $given := or .Values.policies .Values.existingSecret .Values.defaults.env }}
{{- range $name := list "ingest" "erp-writer" "channel-publisher" }}
{{- $s := include "stockweave.settings" (dict "root" $ "name" $name) | fromYaml }}
{{- if and $s.enabled (not (or $given $s.env)) }}
{{- fail (printf "%s cannot start: the policies in the image name environment variables, and there are none: set existingSecret, or policies of your own" $name) }}
{{- end }}
{{- end }}
{{- $mounted := list }}
{{- range .Values.files }}{{ $mounted = append $mounted .name }}{{ end }}
{{- range $name := list "kafka" "redis" "registry" }}
{{- $section := get $all $name }}
{{- range $part := list $section $section.tls $section.sasl }}
{{- range $key, $file := ternary $part dict (kindIs "map" $part) }}
{{- if and (hasSuffix "_file" $key) (hasPrefix "/etc/stockweave/files/" (toString $file)) }}
{{- if not (has (index (splitList "/" $file) 4) $mounted) }}
{{- fail (printf "config.%s: %s: %s is in none of files" $name $key $file) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- toYaml $all }}
{{- end }}

{{/* Keys of a ConfigMap cannot hold a slash. */}}
{{- define "stockweave.policyKey" -}}{{ . | replace "/" "__" }}{{- end }}

{{/* The data of both ConfigMaps: the configuration and the policies. */}}
{{- define "stockweave.configData" -}}
config.yaml: |
  {{- include "stockweave.config" . | nindent 2 }}
{{- range $path, $content := .Values.policies }}
{{ include "stockweave.policyKey" $path }}: |
  {{- $content | nindent 2 }}
{{- end }}
{{- end }}

{{/* Volumes of a pod. Takes root and configMap. */}}
{{- define "stockweave.volumes" -}}
- name: config
  configMap:
    name: {{ .configMap }}
    items: [{key: config.yaml, path: config.yaml}]
{{- if .root.Values.policies }}
- name: policies
  configMap:
    name: {{ .configMap }}
    items:
      {{- range $path, $_ := .root.Values.policies }}
      - {key: {{ include "stockweave.policyKey" $path }}, path: {{ $path }}}
      {{- end }}
{{- end }}
{{- range .root.Values.files }}
- name: file-{{ .name }}
  {{- if .secret }}
  secret:
    secretName: {{ .secret }}
    defaultMode: 0440 # of the group 65532, which the pods are of
  {{- else }}
  configMap:
    name: {{ .configMap }}
  {{- end }}
    {{- with .items }}
    items:
      {{- range . }}
      - {key: {{ . }}, path: {{ . }}}
      {{- end }}
    {{- end }}
{{- end }}
{{- end }}

{{- define "stockweave.mounts" -}}
- {name: config, mountPath: /etc/stockweave/config, readOnly: true}
{{- if .Values.policies }}
- {name: policies, mountPath: /etc/stockweave/policies, readOnly: true}
{{- end }}
{{- range .Values.files }}
- {name: file-{{ .name }}, mountPath: /etc/stockweave/files/{{ .name }}, readOnly: true}
{{- end }}
{{- end }}

{{- define "stockweave.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "stockweave.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}
