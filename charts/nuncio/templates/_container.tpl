{{/* The gateway's container. */}}

{{- define "nuncio.container" -}}
name: nuncio
image: {{ include "nuncio.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
args:
  - run
  {{- range .Values.extraArgs }}
  - {{ . | quote }}
  {{- end }}
env:
  {{- include "nuncio.environment" . | nindent 2 }}
{{- with .Values.envFrom }}
envFrom:
  {{- toYaml . | nindent 2 }}
{{- end }}
ports:
  {{- include "nuncio.containerPorts" . | trim | nindent 2 }}
livenessProbe:
  {{- include "nuncio.probe" (list .Values.livenessProbe "check_alive") | nindent 2 }}
readinessProbe:
  {{- include "nuncio.probe" (list .Values.readinessProbe "check_ready") | nindent 2 }}
{{- if .Values.startupProbe }}
startupProbe:
  {{- include "nuncio.probe" (list .Values.startupProbe "check_alive") | nindent 2 }}
{{- end }}
{{- with .Values.lifecycle }}
lifecycle:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.resources }}
resources:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.security.containerSecurityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- if or .Values.volumeMounts .Values.serviceAccount.projectedToken.enabled }}
volumeMounts:
  {{- if .Values.serviceAccount.projectedToken.enabled }}
  - name: nuncio-token
    mountPath: /var/run/secrets/kubernetes.io/serviceaccount
    readOnly: true
  {{- end }}
  {{- with .Values.volumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
{{- end }}

{{/* Variables of the chart's first; those of `env` can't have the same names, but for the drain times. */}}
{{- define "nuncio.environment" -}}
- name: AMBASSADOR_NAMESPACE
  valueFrom:
    fieldRef:
      fieldPath: metadata.namespace
- name: POD_NAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
- name: HOST_IP
  valueFrom:
    fieldRef:
      fieldPath: status.hostIP
{{- if .Values.adminService.create }}
- name: NUNCIO_ADMIN_SERVICE
  value: {{ include "nuncio.adminServiceName" . | quote }}
{{- end }}
{{- if .Values.scope.singleNamespace }}
- name: AMBASSADOR_SINGLE_NAMESPACE
  value: "true"
{{- end }}
- name: NUNCIO_DRAIN_DELAY
  value: {{ include "nuncio.drainDelay" . | quote }}
- name: AMBASSADOR_DRAIN_TIME
  value: {{ include "nuncio.drainTime" . | quote }}
{{- if ne .Values.secrets.watch "ByName" }}
- name: NUNCIO_SECRETS_WATCH
  value: {{ .Values.secrets.watch }}
{{- end }}
{{- if .Values.module.diagnostics.allow_non_local }}
- name: NUNCIO_DIAGNOSTICS_ALLOW_NON_LOCAL
  value: "true"
{{- end }}
{{- if eq (include "nuncio.hasAdmission" .) "true" }}
- name: NUNCIO_ADMISSION_SERVICE
  value: {{ include "nuncio.admissionName" . | quote }}
# Said here, or Kubernetes would set it to a link to the Service.
- name: NUNCIO_ADMISSION_PORT
  value: {{ include "nuncio.admissionPort" . | quote }}
- name: NUNCIO_ADMISSION_SECRET
  value: {{ include "nuncio.admissionSecret" . | quote }}
- name: NUNCIO_ADMISSION_WEBHOOK
  value: {{ include "nuncio.clusterName" . | quote }}
- name: NUNCIO_ADMISSION_ANNOTATIONS
  value: {{ .Values.admission.annotations }}
{{- if .Values.admission.certManager.enabled }}
- name: NUNCIO_ADMISSION_CERTIFICATE
  value: external
{{- end }}
{{- if .Values.conversion.enabled }}
- name: NUNCIO_CONVERSION
  value: "true"
{{- end }}
{{- end }}
{{- range $name, $value := omit .Values.env "NUNCIO_ADMISSION_PORT" "NUNCIO_DRAIN_DELAY" "AMBASSADOR_DRAIN_TIME" }}
- name: {{ $name }}
  value: {{ include "nuncio.text" $value | quote }}
{{- end }}
{{- with include "nuncio.list" .Values.envRaw }}
{{ . }}
{{- end }}
{{- end }}

{{/* A port of the pod for each that the Service leads to, once. */}}
{{- define "nuncio.containerPorts" -}}
{{- $seen := dict -}}
{{- range .Values.service.ports }}
{{- $protocol := default "TCP" .protocol }}
{{- $key := printf "%v/%s" .targetPort $protocol }}
{{- if and (not (kindIs "string" .targetPort)) (not (hasKey $seen $key)) }}
{{- $_ := set $seen $key true }}
- name: {{ .name }}
  containerPort: {{ int .targetPort }}
  protocol: {{ $protocol }}
  {{- with .hostPort }}
  hostPort: {{ int . }}
  {{- end }}
{{- end }}
{{- end }}
- name: admin
  containerPort: {{ include "nuncio.adminPort" . }}
  protocol: TCP
{{- if eq (include "nuncio.hasAdmission" .) "true" }}
- name: admission
  containerPort: {{ include "nuncio.admissionPort" . }}
  protocol: TCP
{{- end }}
{{- end }}

{{/* A probe, with the gateway's own question where no handler is given. */}}
{{- define "nuncio.probe" -}}
{{- $probe := first . -}}
{{- if not (or $probe.httpGet $probe.tcpSocket $probe.exec $probe.grpc) -}}
httpGet:
  path: /ambassador/v0/{{ last . }}
  port: admin
{{ end }}
{{- toYaml $probe }}
{{- end }}
