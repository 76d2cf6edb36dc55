{{/* The pod, for a Deployment and a DaemonSet alike. */}}

{{- define "nuncio.podTemplate" -}}
metadata:
  labels:
    {{- include "nuncio.selectorLabels" . | nindent 4 }}
    {{- with .Values.commonLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
    {{- with .Values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with .Values.podAnnotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  serviceAccountName: {{ include "nuncio.serviceAccountName" . }}
  automountServiceAccountToken: {{ and .Values.serviceAccount.automount (not .Values.serviceAccount.projectedToken.enabled) }}
  # Variables that stand for Services, such as NUNCIO_ADMISSION_PORT, would be taken for settings.
  enableServiceLinks: false
  {{- with .Values.imagePullSecrets }}
  imagePullSecrets:
    {{- range . }}
    - name: {{ if kindIs "string" . }}{{ . }}{{ else }}{{ .name }}{{ end }}
    {{- end }}
  {{- end }}
  terminationGracePeriodSeconds: {{ include "nuncio.gracePeriod" . }}
  {{- include "nuncio.podNetwork" . | nindent 2 }}
  {{- with .Values.security.podSecurityContext }}
  securityContext:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.initContainers }}
  initContainers:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  containers:
    - {{ include "nuncio.container" . | indent 6 | trim }}
    {{- with .Values.sidecarContainers }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with include "nuncio.podVolumes" . }}
  {{- . | nindent 2 }}
  {{- end }}
  {{- with include "nuncio.podPlacement" . | trim }}
  {{- . | nindent 2 }}
  {{- end }}
{{- end }}

{{- define "nuncio.podNetwork" -}}
{{- if .Values.hostNetwork -}}
hostNetwork: true
dnsPolicy: {{ default "ClusterFirstWithHostNet" .Values.dnsPolicy }}
{{- else -}}
dnsPolicy: {{ default "ClusterFirst" .Values.dnsPolicy }}
{{- end }}
{{- with .Values.dnsConfig }}
dnsConfig:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.hostAliases }}
hostAliases:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "nuncio.podVolumes" -}}
{{- if or .Values.volumes .Values.serviceAccount.projectedToken.enabled -}}
volumes:
  {{- if .Values.serviceAccount.projectedToken.enabled }}
  - name: nuncio-token
    projected:
      sources:
        - serviceAccountToken:
            path: token
            expirationSeconds: {{ int64 .Values.serviceAccount.projectedToken.expirationSeconds }}
            {{- with .Values.serviceAccount.projectedToken.audience }}
            audience: {{ . | quote }}
            {{- end }}
        - configMap:
            name: kube-root-ca.crt
            items:
              - key: ca.crt
                path: ca.crt
        - downwardAPI:
            items:
              - path: namespace
                fieldRef:
                  fieldPath: metadata.namespace
  {{- end }}
  {{- with .Values.volumes }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
{{- end }}

{{- define "nuncio.podPlacement" -}}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .Values.schedulerName }}
schedulerName: {{ . }}
{{- end }}
{{- with .Values.runtimeClassName }}
runtimeClassName: {{ . }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- if and .Values.topologySpreadConstraints (not .Values.daemonSet) }}
topologySpreadConstraints:
  {{- range .Values.topologySpreadConstraints }}
  - {{ toYaml . | indent 4 | trim }}
    {{- if not .labelSelector }}
    labelSelector:
      matchLabels:
        {{- include "nuncio.selectorLabels" $ | nindent 8 }}
    {{- if not .matchLabelKeys }}
    matchLabelKeys: [pod-template-hash]
    {{- end }}
    {{- end }}
  {{- end }}
{{- end }}
{{- end }}
