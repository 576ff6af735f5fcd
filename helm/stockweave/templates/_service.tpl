{{/* A service's settings over the defaults. Takes root and name. */}}
{{- define "stockweave.settings" -}}
{{- toYaml (mergeOverwrite (deepCopy .root.Values.defaults) (deepCopy (default dict (index .root.Values.services .name)))) }}
{{- end }}

{{/*
Nine tenths of a memory limit, in bytes: the collector works harder before the
kernel ends the process. Nothing without a limit, or for a unit of no use here.
*/}}
{{- define "stockweave.goMemory" -}}
{{- $units := dict "" 1 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 }}
{{- $limit := ternary (printf "%.0f" .) (toString .) (kindIs "float64" .) }}
{{- $number := regexFind "^[0-9.]+" $limit }}
{{- $unit := trimPrefix $number $limit }}
{{- if and $number (hasKey $units $unit) }}{{ mulf (float64 $number) (get $units $unit) 0.9 | printf "%.0f" }}{{ end }}
{{- end }}

{{/*
One service. Takes root, name, kind and http, the port of its API (0: none).
Consumers are StatefulSets: the ordinal is in the transactional id and the group
instance id, so a restart is the same member and never waits for a session to end.
*/}}
{{- define "stockweave.service" -}}
{{- $root := .root }}
{{- $s := include "stockweave.settings" . | fromYaml }}
{{- $full := printf "%s-%s" (include "stockweave.fullname" .root) .name }}
{{- $base := include "stockweave.fullname" .root }}
{{- $memory := include "stockweave.goMemory" ($s.resources.limits).memory }}
{{- $snapshots := and (eq .name "atp") $root.Values.snapshots.enabled }}
{{- $folders := list }}
{{- if eq .name "ingest" }}{{ $folders = $root.Values.folders }}{{ end }}
{{- $own := false }}
{{- range $s.env }}{{ if eq .name "GOMEMLIMIT" }}{{ $own = true }}{{ end }}{{ end }}
{{- if $s.enabled }}
apiVersion: apps/v1
kind: {{ .kind }}
metadata:
  name: {{ $full }}
  labels: {{- include "stockweave.labels" . | nindent 4 }}
spec:
  replicas: {{ $s.replicas }}
  {{- if eq .kind "StatefulSet" }}
  serviceName: {{ $full }}-pods
  podManagementPolicy: Parallel
  {{- if and $snapshots $root.Values.snapshots.size }}
  # What is on the volumes can be read from Kafka again.
  persistentVolumeClaimRetentionPolicy: {whenDeleted: Delete, whenScaled: Delete}
  volumeClaimTemplates:
    - metadata:
        name: snapshots
        labels: {{- include "stockweave.selector" . | nindent 10 }}
      spec:
        accessModes: [ReadWriteOnce]
        {{- with $root.Values.snapshots.storageClass }}
        storageClassName: {{ . }}
        {{- end }}
        resources: {requests: {storage: {{ $root.Values.snapshots.size }}}}
  {{- end }}
  {{- else }}
  strategy: {type: RollingUpdate, rollingUpdate: {maxUnavailable: 0, maxSurge: 1}}
  {{- end }}
  selector:
    matchLabels: {{- include "stockweave.selector" . | nindent 6 }}
  template:
    metadata:
      labels:
        {{- include "stockweave.labels" . | nindent 8 }}
        {{- with $root.Values.podLabels }}{{ toYaml . | nindent 8 }}{{ end }}
      annotations:
        checksum/config: {{ include "stockweave.configData" $root | sha256sum }}
        prometheus.io/scrape: "true"
        prometheus.io/port: "9100"
        {{- with $root.Values.podAnnotations }}{{ toYaml . | nindent 8 }}{{ end }}
    spec:
      serviceAccountName: {{ include "stockweave.serviceAccount" $root }}
      automountServiceAccountToken: false
      enableServiceLinks: false
      terminationGracePeriodSeconds: {{ $s.terminationGracePeriodSeconds }}
      securityContext: {{- include "stockweave.podSecurity" $root | nindent 8 }}
      {{- with $root.Values.imagePullSecrets }}
      imagePullSecrets: {{- toYaml . | nindent 8 }}
      {{- end }}
      containers:
        - name: {{ .name }}
          image: {{ include "stockweave.image" $root }}
          imagePullPolicy: {{ $root.Values.image.pullPolicy }}
          args: [{{ .name }}, --config, /etc/stockweave/config/config.yaml]
          env:
            - name: STOCKWEAVE_INSTANCE
              valueFrom: {fieldRef: {fieldPath: metadata.name}}
            {{- if and $memory (not $own) }}
            - {name: GOMEMLIMIT, value: {{ $memory | quote }}}
            {{- end }}
            {{- with $s.env }}{{ toYaml . | nindent 12 }}{{ end }}
          {{- with $root.Values.existingSecret }}
          envFrom: [{secretRef: {name: {{ . }}}}]
          {{- end }}
          ports:
            - {name: admin, containerPort: 9100}
            {{- if .http }}
            - {name: http, containerPort: {{ .http }}}
            {{- end }}
          # A start includes the restore of state; ready is not restoring; alive is the
          # process itself, whatever Kafka does.
          startupProbe:
            httpGet: {path: /readyz, port: admin}
            periodSeconds: 5
            failureThreshold: {{ max 1 (div (int $s.startupSeconds) 5) }}
          readinessProbe:
            httpGet: {path: /readyz, port: admin}
            periodSeconds: 5
            timeoutSeconds: 3
          livenessProbe:
            httpGet: {path: /healthz, port: admin}
            periodSeconds: 10
            timeoutSeconds: 5
            failureThreshold: 6
          {{- if .http }}
          # Requests still come for a moment after a pod begins to end.
          lifecycle: {preStop: {sleep: {seconds: 5}}}
          {{- end }}
          resources: {{- toYaml $s.resources | nindent 12 }}
          securityContext: {{- include "stockweave.containerSecurity" $root | nindent 12 }}
          volumeMounts:
            {{- include "stockweave.mounts" $root | nindent 12 }}
            {{- if $snapshots }}
            - {name: snapshots, mountPath: /var/lib/stockweave}
            {{- end }}
            {{- range $folders }}
            - {name: folder-{{ .name }}, mountPath: {{ .path }}{{ with .subPath }}, subPath: {{ . }}{{ end }}}
            {{- end }}
      volumes:
        {{- include "stockweave.volumes" (dict "root" $root "configMap" $base) | nindent 8 }}
        {{- if and $snapshots (not $root.Values.snapshots.size) }}
        - {name: snapshots, emptyDir: {}}
        {{- end }}
        {{- range $folders }}
        - {name: folder-{{ .name }}, persistentVolumeClaim: {claimName: {{ default (printf "%s-folder-%s" $base .name) .existingClaim }}}}
        {{- end }}
      {{- if $s.spread }}
      topologySpreadConstraints:
        {{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
        - maxSkew: 1
          topologyKey: {{ . }}
          whenUnsatisfiable: ScheduleAnyway
          labelSelector:
            matchLabels: {{- include "stockweave.selector" $ | nindent 14 }}
        {{- end }}
      {{- end }}
      {{- with $s.priorityClassName }}
      priorityClassName: {{ . }}
      {{- end }}
      {{- with $s.nodeSelector }}
      nodeSelector: {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $s.tolerations }}
      tolerations: {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $s.affinity }}
      affinity: {{- toYaml . | nindent 8 }}
      {{- end }}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ $full }}
  labels: {{- include "stockweave.labels" . | nindent 4 }}
spec:
  {{- toYaml $s.podDisruptionBudget | nindent 2 }}
  selector:
    matchLabels: {{- include "stockweave.selector" . | nindent 6 }}
{{- if eq .kind "StatefulSet" }}
---
# Names of the pods; ready or not, for metrics.
apiVersion: v1
kind: Service
metadata:
  name: {{ $full }}-pods
  labels: {{- include "stockweave.labels" . | nindent 4 }}
spec:
  clusterIP: None
  publishNotReadyAddresses: true
  selector: {{- include "stockweave.selector" . | nindent 4 }}
  ports: [{name: admin, port: 9100, targetPort: admin}]
{{- end }}
---
apiVersion: v1
kind: Service
metadata:
  name: {{ $full }}
  labels: {{- include "stockweave.labels" . | nindent 4 }}
  {{- with ($s.service).annotations }}
  annotations: {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  type: {{ default "ClusterIP" ($s.service).type }}
  selector: {{- include "stockweave.selector" . | nindent 4 }}
  ports:
    - {name: admin, port: 9100, targetPort: admin}
    {{- if .http }}
    - {name: http, port: {{ $s.service.port }}, targetPort: http}
    {{- end }}
{{- if $root.Values.networkPolicy.enabled }}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: {{ $full }}
  labels: {{- include "stockweave.labels" . | nindent 4 }}
spec:
  podSelector:
    matchLabels: {{- include "stockweave.selector" . | nindent 6 }}
  policyTypes: [Ingress]
  ingress:
    - ports: [{port: admin}]
      from:
        {{- with $root.Values.networkPolicy.metrics }}
        {{- toYaml . | nindent 8 }}
        - podSelector: # helm test
            matchLabels: {{- include "stockweave.selector" (dict "root" $root "name" "test") | nindent 14 }}
        {{- else }}
        - podSelector: {}
        {{- end }}
    {{- if .http }}
    - ports: [{port: http}]
      {{- with $root.Values.networkPolicy.http }}
      from: {{- toYaml . | nindent 8 }}
      {{- end }}
    {{- end }}
{{- end }}
{{- end }}
{{- end }}
