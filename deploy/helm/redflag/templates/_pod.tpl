{{/* The pod, the same in both modes. */}}
{{- define "redflag.pod" -}}
metadata:
  labels:
    {{- include "redflag.labels" . | nindent 4 }}
    {{- with .Values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    # Other settings are other pods.
    checksum/config: {{ include (print .Template.BasePath "/config.yaml") . | sha256sum }}
    {{- with .Values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "redflag.name" . }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ .Values.terminationGracePeriodSeconds }}
  securityContext: {{- include "redflag.podSecurity" . | nindent 4 }}
  {{- with .Values.imagePullSecrets }}
  imagePullSecrets: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  topologySpreadConstraints:
    {{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
    - topologyKey: {{ . }}
      maxSkew: 1
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels: {{- include "redflag.selector" $ | nindent 10 }}
    {{- end }}
  {{- with .Values.nodeSelector }}
  nodeSelector: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.affinity }}
  affinity: {{- toYaml . | nindent 4 }}
  {{- end }}
  containers:
    - name: redflag
      image: {{ include "redflag.image" . | quote }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      args: [serve]
      ports:
        - name: http
          containerPort: 8080
      envFrom:
        - configMapRef:
            name: {{ include "redflag.name" . }}
        - secretRef:
            name: {{ include "redflag.secret" . }}
      securityContext: {{- include "redflag.containerSecurity" . | nindent 8 }}
      resources: {{- toYaml .Values.resources | nindent 8 }}
      # It answers when the log after the last snapshot is replayed.
      startupProbe:
        httpGet: { path: /healthz, port: http }
        periodSeconds: 5
        timeoutSeconds: 3
        failureThreshold: {{ div .Values.probes.startupSeconds 5 }}
      # It lives. Whether Kafka and the database do is not its fault, and a restart would not help.
      livenessProbe:
        httpGet: { path: /healthz, port: http }
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 6
      # It decides: not while partitions are restored or waited for, or the database refuses.
      readinessProbe:
        httpGet: { path: /readyz, port: http }
        periodSeconds: 5
        timeoutSeconds: 3
        failureThreshold: 2
      volumeMounts:
        - name: data
          mountPath: /var/lib/redflag
        - name: tmp
          mountPath: /tmp
        {{- if .Values.access.keysSecret }}
        - name: access
          mountPath: /etc/redflag-access
          readOnly: true
        {{- end }}
        {{- if .Values.detectorFile }}
        - name: detector
          mountPath: /etc/redflag
          readOnly: true
        {{- end }}
  volumes:
    - name: tmp
      emptyDir: { sizeLimit: 256Mi }
    {{- with .Values.access.keysSecret }}
    - name: access
      secret:
        secretName: {{ . }}
    {{- end }}
    {{- if .Values.detectorFile }}
    - name: detector
      configMap:
        name: {{ include "redflag.name" . }}-detector
    {{- end }}
    {{- if eq .Values.mode "kafka" }}
    - name: data
      emptyDir: { sizeLimit: {{ .Values.persistence.emptyDirSize }} }
    {{- end }}
{{- end }}
