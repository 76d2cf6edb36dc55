{{/* Labels and annotations of every definition. */}}

{{- define "nuncio-crds.metadata" -}}
labels:
  app.kubernetes.io/name: {{ .Chart.Name }}
  app.kubernetes.io/instance: {{ .Release.Name }}
  app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
  app.kubernetes.io/part-of: nuncio
  app.kubernetes.io/managed-by: {{ .Release.Service }}
  helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
  {{- with .Values.commonLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- if or .Values.keep .Values.annotations }}
annotations:
  {{- if .Values.keep }}
  helm.sh/resource-policy: keep
  {{- end }}
  {{- with .Values.annotations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
{{- end }}

{{/* How the API server has resources converted: by the gateway, which sets caBundle itself. */}}
{{- define "nuncio-crds.conversion" -}}
{{- if .Values.enableLegacyVersions -}}
conversion:
  strategy: Webhook
  webhook:
    clientConfig:
      service:
        name: {{ .Values.conversion.service }}
        namespace: {{ default .Release.Namespace .Values.conversion.namespace }}
        path: /webhooks/crd-convert
        port: 443
    conversionReviewVersions: [v1]
{{- else -}}
conversion:
  strategy: None
{{- end }}
{{- end }}
