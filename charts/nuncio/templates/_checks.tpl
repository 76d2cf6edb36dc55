{{/* Values that can't work: all are told at once, with what to write instead. */}}

{{- define "nuncio.check" -}}
{{- $problems := concat (include "nuncio.contradictions" . | fromJsonArray) (include "nuncio.foreignValues" . | fromJsonArray) -}}
{{- if $problems }}
{{- fail (printf "\n\n- %s\n" (join "\n- " $problems)) }}
{{- end }}
{{- end }}

{{- define "nuncio.contradictions" -}}
{{- $problems := list -}}
{{- $drain := add (include "nuncio.drainDelay" . | int64) (include "nuncio.drainTime" . | int64) -}}
{{- if lt (include "nuncio.gracePeriod" . | int64) $drain }}
{{- $problems = append $problems (printf "terminationGracePeriodSeconds: %s is too short: drain.delaySeconds and drain.timeSeconds take %d. Leave it out, or lower those." (include "nuncio.gracePeriod" .) $drain) }}
{{- end }}
{{- if not (or (kindIs "invalid" .Values.podDisruptionBudget.minAvailable) (kindIs "invalid" .Values.podDisruptionBudget.maxUnavailable)) }}
{{- $problems = append $problems "podDisruptionBudget: minAvailable and maxUnavailable exclude each other. Keep one." }}
{{- end }}
{{- if and .Values.autoscaling.enabled (gt (int .Values.autoscaling.minReplicas) (int .Values.autoscaling.maxReplicas)) }}
{{- $problems = append $problems "autoscaling: minReplicas is more than maxReplicas." }}
{{- end }}
{{- if and .Values.metrics.serviceMonitor.enabled (not .Values.adminService.create) }}
{{- $problems = append $problems "metrics.serviceMonitor needs adminService.create: true. Without that Service use metrics.podMonitor." }}
{{- end }}
{{- if and .Values.secrets.namespaces (eq .Values.secrets.watch "All") }}
{{- $problems = append $problems "secrets: watch All reads every namespace, and namespaces lists some. Use ByName." }}
{{- end }}
{{- if and .Values.secrets.namespaces .Values.scope.singleNamespace }}
{{- $problems = append $problems "secrets.namespaces: with scope.singleNamespace the gateway reads Secrets of its own namespace only. Leave the list out." }}
{{- end }}
{{- range $name := list "AMBASSADOR_NAMESPACE" "AMBASSADOR_SINGLE_NAMESPACE" "HOST_IP" "NUNCIO_ADMIN_SERVICE" "NUNCIO_ADMISSION_ANNOTATIONS" "NUNCIO_ADMISSION_CERTIFICATE" "NUNCIO_ADMISSION_SECRET" "NUNCIO_ADMISSION_SERVICE" "NUNCIO_ADMISSION_WEBHOOK" "NUNCIO_CONVERSION" "POD_NAME" }}
{{- if hasKey $.Values.env $name }}
{{- $instead := get (dict "AMBASSADOR_NAMESPACE" " Use namespaceOverride." "AMBASSADOR_SINGLE_NAMESPACE" " Use scope.singleNamespace." "NUNCIO_ADMIN_SERVICE" " Use adminService.create." "NUNCIO_ADMISSION_ANNOTATIONS" " Use admission.annotations." "NUNCIO_ADMISSION_CERTIFICATE" " Use admission.certManager.enabled." "NUNCIO_ADMISSION_SERVICE" " Use admission.enabled." "NUNCIO_CONVERSION" " Use conversion.enabled.") $name }}
{{- $problems = append $problems (printf "env.%s: the chart sets this variable itself.%s" $name $instead) }}
{{- end }}
{{- end }}
{{- if and .Values.conversion.enabled (ne (include "nuncio.hasAdmission" .) "true") }}
{{- $problems = append $problems "conversion.enabled needs the admission webhook's port and certificate. Set admission.enabled: true and scope.singleNamespace: false." }}
{{- end }}
{{- $hook := dig "preStop" "exec" "command" (list) .Values.lifecycle }}
{{- if and $hook (not (contains "nuncio" (first $hook))) }}
{{- $problems = append $problems (printf "lifecycle.preStop.exec: the image has no %s, and a hook that fails ends the pod without its drain. Use drain.delaySeconds, or lifecycle.preStop.sleep." (first $hook)) }}
{{- end }}
{{- toJson $problems }}
{{- end }}

{{/* The ports that the chart's own Listeners open, as a list of texts in JSON; without any, the gateway
opens one. */}}
{{- define "nuncio.listenerPorts" -}}
{{- $ports := list -}}
{{- range .Values.listeners }}
{{- if or $.Values.createDefaultListeners .create }}
{{- $ports = append $ports (dig "spec" "port" 0 . | toString) }}
{{- end }}
{{- end }}
{{- toJson (default (list (include "nuncio.httpPort" .)) $ports) }}
{{- end }}

{{/* Values of Emissary's chart that ask for something that isn't here. */}}
{{- define "nuncio.foreignValues" -}}
{{- $values := .Values.AsMap -}}
{{- $problems := list -}}
{{- $asked := list
  (list "agent.enabled" (dig "agent" "enabled" false $values) "there is no agent. Remove it.")
  (list "ambassadorConfig" (dig "ambassadorConfig" "" $values) "configuration doesn't go through the chart. Apply these objects as resources, or put them into extraObjects.")
  (list "barePod" (dig "barePod" false $values) "use replicaCount: 1.")
  (list "canary.enabled" (dig "canary" "enabled" false $values) "install a second release of the chart with the other image.")
  (list "createNamespace" (dig "createNamespace" false $values) "use `helm install --create-namespace`.")
  (list "docker" (dig "docker" (dict) $values) "use imagePullSecrets.")
  (list "module.diagnostics.enabled" (dig "module" "diagnostics" "enabled" false $values) "diagnostics are on the admin port only. Use module.diagnostics.allow_non_local and a port-forward.")
  (list "namespace.name" (dig "namespace" "name" "" $values) "use namespaceOverride.")
  (list "prometheusExporter.enabled" (dig "prometheusExporter" "enabled" false $values) "metrics are on the admin port. Use metrics.serviceMonitor or metrics.podMonitor.")
  (list "rbac.podSecurityPolicies" (dig "rbac" "podSecurityPolicies" (list) $values) "Kubernetes has no PodSecurityPolicy any more. Label the namespace with pod-security.kubernetes.io/enforce: restricted.")
  (list "resolvers.consul.create" (dig "resolvers" "consul" "create" false $values) "Consul is not supported.")
  (list "security.podSecurityPolicy" (dig "security" "podSecurityPolicy" (dict) $values) "Kubernetes has no PodSecurityPolicy any more. Label the namespace with pod-security.kubernetes.io/enforce: restricted.")
  (list "securityContext" (dig "securityContext" (dict) $values) "use security.podSecurityContext.")
  (list "serviceAccount.extra" (dig "serviceAccount" "extra" "" $values) "use serviceAccount.annotations, or extraObjects.")
-}}
{{- range $asked }}
{{- if index . 1 }}
{{- $problems = append $problems (printf "%s: %s" (first .) (last .)) }}
{{- end }}
{{- end }}
{{- toJson $problems }}
{{- end }}

{{/* What is accepted and has no effect, for NOTES.txt. */}}
{{- define "nuncio.withoutEffect" -}}
{{- $values := .Values.AsMap -}}
{{- $notes := list -}}
{{- $given := list
  (list "ingressClassResource" .Values.ingressClassResource.enabled "Nuncio reads the annotations of Ingresses, but not their rules yet.")
  (list "autoscaling" (and .Values.autoscaling.enabled .Values.daemonSet) "a DaemonSet has one pod on each node.")
  (list "adminService.snapshotPort" (dig "adminService" "snapshotPort" 0 $values) "there is no snapshot server.")
  (list "deploymentTool" (dig "deploymentTool" "" $values) "nothing goes by it.")
  (list "progressDeadlines.agent" (dig "progressDeadlines" "agent" 0 $values) "there is no agent.")
  (list "test.image" (dig "test" "image" "" $values) "the test uses the gateway's own image.")
  (list "waitForApiext" (dig "waitForApiext" "enabled" false $values) "a gateway that starts answers the conversion webhook itself.")
  (list "serviceAccount.automount" (not (or .Values.serviceAccount.automount .Values.serviceAccount.projectedToken.enabled .Values.volumes)) "the pods have no token, so they can't read any configuration. Set serviceAccount.projectedToken.enabled.")
-}}
{{- range $given }}
{{- if index . 1 }}
{{- $notes = append $notes (printf "%s: %s" (first .) (last .)) }}
{{- end }}
{{- end }}
{{- $ports := include "nuncio.listenerPorts" . | fromJsonArray }}
{{- range .Values.service.ports }}
{{- if not (has (toString .targetPort) $ports) }}
{{- $notes = append $notes (printf "service.ports: port %v leads to %v, which a Listener has to open: apply one, or set createDefaultListeners." .port .targetPort) }}
{{- end }}
{{- end }}
{{- toJson $notes }}
{{- end }}

{{/* The port for plaintext HTTP, as extraArgs may have it. */}}
{{- define "nuncio.httpPort" -}}
{{- $port := "8080" -}}
{{- range .Values.extraArgs }}
{{- if hasPrefix "--http-port=" . }}{{ $port = trimPrefix "--http-port=" . }}{{ end }}
{{- end }}
{{- $port }}
{{- end }}
