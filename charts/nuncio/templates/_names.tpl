{{/* Names, labels and small values that several templates need. */}}

{{- define "nuncio.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* The release's name, with the chart's unless it says that already. */}}
{{- define "nuncio.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else if contains (include "nuncio.name" .) .Release.Name }}
{{- .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "nuncio.name" .) | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "nuncio.namespace" -}}
{{- default .Release.Namespace .Values.namespaceOverride }}
{{- end }}

{{/* For objects of the whole cluster: two releases of one name in two namespaces don't meet. */}}
{{- define "nuncio.clusterName" -}}
{{- $name := include "nuncio.fullname" . -}}
{{- $namespace := include "nuncio.namespace" . -}}
{{- if eq $name $namespace }}{{ $name }}{{ else }}{{ printf "%s-%s" $name $namespace }}{{ end }}
{{- end }}

{{- define "nuncio.selectorLabels" -}}
app.kubernetes.io/name: {{ include "nuncio.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* The test's pod has another name: the gateway's Services must not choose it. */}}
{{- define "nuncio.testLabels" -}}
app.kubernetes.io/name: {{ include "nuncio.name" . }}-test
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* Labels that every object has but for those by which pods are selected. */}}
{{- define "nuncio.commonLabels" -}}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: nuncio
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "nuncio.labels" -}}
{{ include "nuncio.selectorLabels" . }}
{{ include "nuncio.commonLabels" . }}
{{- end }}

{{- define "nuncio.serviceName" -}}
{{- default (include "nuncio.fullname" .) .Values.service.nameOverride }}
{{- end }}

{{- define "nuncio.adminServiceName" -}}
{{- printf "%s-admin" (include "nuncio.fullname" . | trunc 57 | trimSuffix "-") }}
{{- end }}

{{- define "nuncio.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "nuncio.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "nuncio.image" -}}
{{- $image := .Values.image -}}
{{ $image.repository }}:{{ default .Chart.AppVersion $image.tag }}{{ with $image.digest }}@{{ . }}{{ end }}
{{- end }}

{{/* The text of a value of the environment: whole numbers stay whole. */}}
{{- define "nuncio.text" -}}
{{- if and (kindIs "float64" .) (eq (floor .) .) }}{{ int64 . }}{{ else }}{{ . }}{{ end }}
{{- end }}

{{/* A list that may be given as text. */}}
{{- define "nuncio.list" -}}
{{- if kindIs "string" . }}{{ . }}{{ else if . }}{{ toYaml . }}{{ end }}
{{- end }}

{{/* The port of the pods for health, metrics and diagnostics. */}}
{{- define "nuncio.adminPort" -}}
{{- include "nuncio.text" (default 8877 .Values.env.AMBASSADOR_HEALTHCHECK_BIND_PORT) }}
{{- end }}

{{- define "nuncio.drainDelay" -}}
{{- include "nuncio.text" (ternary .Values.env.NUNCIO_DRAIN_DELAY .Values.drain.delaySeconds (hasKey .Values.env "NUNCIO_DRAIN_DELAY")) }}
{{- end }}

{{- define "nuncio.drainTime" -}}
{{- include "nuncio.text" (ternary .Values.env.AMBASSADOR_DRAIN_TIME .Values.drain.timeSeconds (hasKey .Values.env "AMBASSADOR_DRAIN_TIME")) }}
{{- end }}

{{/* Seconds until a pod is killed: both drain times, and ten to end in. */}}
{{- define "nuncio.gracePeriod" -}}
{{- $drain := add (include "nuncio.drainDelay" . | int64) (include "nuncio.drainTime" . | int64) -}}
{{- if kindIs "invalid" .Values.terminationGracePeriodSeconds }}{{ add $drain 10 }}{{ else }}{{ int64 .Values.terminationGracePeriodSeconds }}{{ end }}
{{- end }}

{{/* "true" where a disruption budget can hold more than one pod: a drain leaves those of a DaemonSet alone. */}}
{{- define "nuncio.isMany" -}}
{{- if .Values.daemonSet }}false
{{- else if .Values.autoscaling.enabled }}{{ gt (int .Values.autoscaling.minReplicas) 1 }}
{{- else }}{{ gt (int .Values.replicaCount) 1 }}
{{- end }}
{{- end }}

{{/* "true" where two pods can't be on one node, since they open ports of it. */}}
{{- define "nuncio.hasHostPorts" -}}
{{- $found := .Values.hostNetwork -}}
{{- range .Values.service.ports }}{{ if .hostPort }}{{ $found = true }}{{ end }}{{ end -}}
{{- $found }}
{{- end }}

{{/* "true" where the admission webhook is to be installed. */}}
{{- define "nuncio.hasAdmission" -}}
{{- and .Values.admission.enabled (not .Values.scope.singleNamespace) }}
{{- end }}

{{/* The Service that the API server asks, and what belongs to it in the namespace. */}}
{{- define "nuncio.admissionName" -}}
{{- printf "%s-admission" (include "nuncio.fullname" . | trunc 53 | trimSuffix "-") }}
{{- end }}

{{/* The Secret of the webhook's certificate. */}}
{{- define "nuncio.admissionSecret" -}}
{{- printf "%s-certificate" (include "nuncio.admissionName" .) }}
{{- end }}

{{/* The port of the pods that the API server reaches. */}}
{{- define "nuncio.admissionPort" -}}
{{- include "nuncio.text" (default 8444 .Values.env.NUNCIO_ADMISSION_PORT) }}
{{- end }}

{{/* What both webhooks have in common. */}}
{{- define "nuncio.webhook" -}}
admissionReviewVersions: [v1]
clientConfig:
  service:
    name: {{ include "nuncio.admissionName" . }}
    namespace: {{ include "nuncio.namespace" . | quote }}
    path: /validate
failurePolicy: {{ .Values.admission.failurePolicy }}
matchPolicy: Equivalent
sideEffects: None
timeoutSeconds: {{ int .Values.admission.timeoutSeconds }}
# A namespace with the label nuncio.dev/admission: "off" is left alone.
namespaceSelector:
  matchExpressions:
    - key: nuncio.dev/admission
      operator: NotIn
      values: ["off"]
{{- end }}
