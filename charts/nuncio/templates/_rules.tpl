{{/* Exactly what the gateway asks of the API server. */}}

{{/* For the namespaces that it serves: in a ClusterRole, or with scope.singleNamespace in a Role. */}}
{{- define "nuncio.rules" -}}
# What is routed.
- apiGroups: [getambassador.io]
  resources:
    - mappings
    - tcpmappings
    - listeners
    - hosts
    - tlscontexts
    - modules
    - kubernetesserviceresolvers
    - kubernetesendpointresolvers
  verbs: [list, watch]
- apiGroups: [""]
  resources: [services]
  verbs: [list, watch]
- apiGroups: [networking.k8s.io]
  resources: [ingresses]
  verbs: [list, watch]
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [list, watch]
# What is told.
- apiGroups: [getambassador.io]
  resources:
    - mappings/status
    - tcpmappings/status
    - listeners/status
    - hosts/status
    - tlscontexts/status
    - modules/status
    - kubernetesserviceresolvers/status
    - kubernetesendpointresolvers/status
  verbs: [patch]
- apiGroups: [nuncio.dev]
  resources: [annotatedresources]
  verbs: [list, watch, create, patch, delete]
- apiGroups: [nuncio.dev]
  resources: [annotatedresources/status]
  verbs: [patch]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create]
{{- end }}

{{/* For its own namespace, always in a Role. */}}
{{- define "nuncio.ownRules" -}}
# The Lease that says which replica writes status.
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [create]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  {{- with include "nuncio.leaseName" . }}
  resourceNames: [{{ . }}]
  {{- end }}
  verbs: [get, update]
{{- if eq (include "nuncio.hasAdmission" .) "true" }}
# The certificate of the admission webhook.
- apiGroups: [""]
  resources: [secrets]
  resourceNames: [{{ include "nuncio.admissionSecret" . }}]
  verbs: [{{ ternary "list, watch" "get, list, watch, update" .Values.admission.certManager.enabled }}]
{{- if not .Values.admission.certManager.enabled }}
# Somebody may have deleted it.
- apiGroups: [""]
  resources: [secrets]
  verbs: [create]
{{- end }}
{{- end }}
{{- end }}

{{/* The Lease's name, as the gateway makes it of AMBASSADOR_ID; empty where the chart can't know
that: a variable may come from elsewhere. */}}
{{- define "nuncio.leaseName" -}}
{{- if not (or .Values.envFrom (contains "AMBASSADOR_ID" (toYaml .Values.envRaw))) }}
{{- $id := default "default" .Values.env.AMBASSADOR_ID | toString | lower }}
{{- $id = regexReplaceAll "[^a-z0-9]" $id "-" | trimAll "-" }}
{{- printf "nuncio-%s" $id | trimSuffix "-" }}
{{- end }}
{{- end }}

{{/* Whom the API server trusts: the one webhook configuration, which belongs to the whole cluster. */}}
{{- define "nuncio.admissionRules" -}}
{{- if and (eq (include "nuncio.hasAdmission" .) "true") (not .Values.admission.certManager.enabled) -}}
# Which certificate the API server takes from the admission webhook.
- apiGroups: [admissionregistration.k8s.io]
  resources: [validatingwebhookconfigurations]
  resourceNames: [{{ include "nuncio.clusterName" . }}]
  verbs: [list, watch, patch]
{{- end }}
{{- end }}
