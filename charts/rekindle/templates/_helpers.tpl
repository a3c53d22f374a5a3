{{- define "rekindle.fullname" -}}
{{- if contains "rekindle" .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-rekindle" .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Cluster-wide objects carry the namespace: two releases may have one name. */}}
{{- define "rekindle.clusterName" -}}
{{- if eq (include "rekindle.fullname" .) .Release.Namespace -}}
{{- include "rekindle.fullname" . -}}
{{- else -}}
{{- printf "%s-%s" .Release.Namespace (include "rekindle.fullname" .) -}}
{{- end -}}
{{- end -}}

{{- define "rekindle.selector" -}}
app.kubernetes.io/name: rekindle
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "rekindle.labels" -}}
{{ include "rekindle.selector" . }}
app.kubernetes.io/version: {{ .Values.image.tag | default .Chart.AppVersion | trunc 63 | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "rekindle.serviceAccount" -}}
{{- .Values.serviceAccount.name | default (ternary (include "rekindle.fullname" .) "default" .Values.serviceAccount.create) -}}
{{- end -}}

{{- define "rekindle.publicUrl" -}}
{{- if .Values.publicUrl -}}
{{- .Values.publicUrl | trimSuffix "/" -}}
{{- else if and .Values.ingress.enabled .Values.ingress.hosts -}}
{{- printf "%s://%s" (ternary "https" "http" (ne .Values.ingress.tlsSecret "")) (first .Values.ingress.hosts) -}}
{{- else -}}
{{- printf "http://%s.%s.svc" (include "rekindle.fullname" .) .Release.Namespace -}}
{{- if ne (int .Values.service.port) 80 }}:{{ .Values.service.port }}{{ end -}}
{{- end -}}
{{- end -}}

{{/* What cannot work is refused before anything is installed. */}}
{{- define "rekindle.check" -}}
{{- if and (not .Values.database.existingSecret) (gt (int .Values.replicas) 1) -}}
{{- fail (printf "replicas: %d: SQLite on a volume serves exactly one; set database.existingSecret to a Secret with the address of a PostgreSQL database, or replicas: 1" (int .Values.replicas)) -}}
{{- end -}}
{{- if and .Values.ingress.enabled (not .Values.ingress.hosts) -}}
{{- fail "ingress.enabled: ingress.hosts is empty; write the host that clients reach, like [go.example.com]" -}}
{{- end -}}
{{- end -}}

{{- define "rekindle.pod" -}}
metadata:
  labels:
    {{- include "rekindle.labels" . | nindent 4 }}
    {{- with .Values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with .Values.podAnnotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  serviceAccountName: {{ include "rekindle.serviceAccount" . }}
  terminationGracePeriodSeconds: {{ .Values.terminationGracePeriodSeconds }}
  enableServiceLinks: false
  {{- with .Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 65532
    runAsGroup: 65532
    fsGroup: 65532
    fsGroupChangePolicy: OnRootMismatch
    seccompProfile: {type: RuntimeDefault}
  containers:
    - name: rekindle
      image: "{{ .Values.image.repository }}{{ if .Values.image.digest }}@{{ .Values.image.digest }}{{ else }}:{{ .Values.image.tag | default .Chart.AppVersion }}{{ end }}"
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      args: [operator]
      env:
        - {name: POD_NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
        - {name: POD_NAMESPACE, valueFrom: {fieldRef: {fieldPath: metadata.namespace}}}
        - {name: REKINDLE_LISTEN, value: "0.0.0.0:8080"}
        - {name: REKINDLE_ADMIN, value: "0.0.0.0:9090"}
        - {name: REKINDLE_PUBLIC_URL, value: {{ include "rekindle.publicUrl" . | quote }}}
        {{- with .Values.clientIpHeader | default (ternary "x-forwarded-for" "" .Values.ingress.enabled) }}
        - {name: REKINDLE_CLIENT_IP_HEADER, value: {{ . | quote }}}
        {{- end }}
        - {name: REKINDLE_LEASE_NAME, value: {{ include "rekindle.fullname" . }}}
        - {name: REKINDLE_LEASE, value: {{ .Values.lease | quote }}}
        - {name: REKINDLE_REGION, value: {{ .Values.signals.region | quote }}}
        - {name: RUST_LOG, value: {{ .Values.log.filter | quote }}}
        {{- if .Values.database.existingSecret }}
        # Files, not variables: what is rotated is read without a restart.
        - {name: REKINDLE_STORE_FILE, value: {{ printf "/etc/rekindle/store/%s" .Values.database.key | quote }}}
        {{- else }}
        - {name: REKINDLE_STORE, value: "sqlite:/data/rekindle.db"}
        {{- end }}
        - {name: REKINDLE_CACHE_DIR, value: /run/rekindle}
        {{- with .Values.watch.namespaces }}
        - {name: REKINDLE_WATCH_NAMESPACES, value: {{ join "," . | quote }}}
        {{- end }}
        {{- if .Values.files.volume }}
        - {name: REKINDLE_VOLUME_ROOT, value: /files}
        {{- end }}
        {{- if .Values.signals.existingSecret }}
        - {name: REKINDLE_SIGNAL_TOKENS_FILE, value: {{ printf "/etc/rekindle/signals/%s" .Values.signals.key | quote }}}
        {{- end }}
        {{- with .Values.extraEnv }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      ports:
        - {name: http, containerPort: 8080}
        - {name: metrics, containerPort: 9090}
      startupProbe:
        httpGet: {path: /healthz, port: metrics}
        periodSeconds: 1
        failureThreshold: 60
      livenessProbe:
        httpGet: {path: /healthz, port: metrics}
        periodSeconds: 10
        timeoutSeconds: 5
      readinessProbe:
        httpGet: {path: /readyz, port: metrics}
        periodSeconds: 3
        timeoutSeconds: 3
        # A minute: while the database fails over, every pod still leads clients to the links that it remembers.
        failureThreshold: 20
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities: {drop: [ALL]}
      {{- with .Values.resources }}
      resources:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      volumeMounts:
        - {name: tmp, mountPath: /tmp}
        - {name: cache, mountPath: /run/rekindle}
        {{- if .Values.database.existingSecret }}
        - {name: store, mountPath: /etc/rekindle/store, readOnly: true}
        {{- else }}
        - {name: data, mountPath: /data}
        {{- end }}
        {{- if .Values.signals.existingSecret }}
        - {name: signals, mountPath: /etc/rekindle/signals, readOnly: true}
        {{- end }}
        {{- if .Values.files.volume }}
        - {name: files, mountPath: /files, readOnly: {{ .Values.files.readOnly }}}
        {{- end }}
  volumes:
    # Large sorts of SQLite; nothing of worth.
    - {name: tmp, emptyDir: {}}
    # Addresses and secrets as last read, for a container that starts again while the API server is away. Memory: no disk sees them.
    - {name: cache, emptyDir: {medium: Memory, sizeLimit: 64Mi}}
    {{- if .Values.database.existingSecret }}
    - name: store
      secret:
        secretName: {{ .Values.database.existingSecret | quote }}
        items: [{key: {{ .Values.database.key | quote }}, path: {{ .Values.database.key | quote }}}]
    {{- end }}
    {{- if .Values.signals.existingSecret }}
    - name: signals
      secret:
        secretName: {{ .Values.signals.existingSecret | quote }}
        items: [{key: {{ .Values.signals.key | quote }}, path: {{ .Values.signals.key | quote }}}]
    {{- end }}
    {{- with .Values.files.volume }}
    - name: files
      {{- toYaml . | nindent 6 }}
    {{- end }}
  {{- with .Values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  affinity:
    {{- if .Values.affinity }}
    {{- toYaml .Values.affinity | nindent 4 }}
    {{- else }}
    podAntiAffinity:
      preferredDuringSchedulingIgnoredDuringExecution:
        - weight: 100
          podAffinityTerm:
            topologyKey: kubernetes.io/hostname
            labelSelector:
              matchLabels:
                {{- include "rekindle.selector" . | nindent 16 }}
    {{- end }}
{{- end -}}
