{{/* What a ServiceMonitor and a PodMonitor have in common: (list ROOT VALUES). */}}

{{- define "nuncio.monitorMetadata" -}}
{{- $root := first . -}}
{{- $monitor := last . -}}
name: {{ include "nuncio.fullname" $root }}
namespace: {{ default (include "nuncio.namespace" $root) $monitor.namespace | quote }}
labels:
  {{- include "nuncio.labels" $root | nindent 2 }}
  {{- with $monitor.selector }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}

{{- define "nuncio.monitorEndpoint" -}}
port: admin
path: /metrics
{{- with .interval }}
interval: {{ . }}
{{- end }}
{{- with .scrapeTimeout }}
scrapeTimeout: {{ . }}
{{- end }}
{{- with .relabelings }}
relabelings:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .metricRelabelings }}
metricRelabelings:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
