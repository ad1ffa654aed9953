{{- define "walferry.name" -}}
{{- .Chart.Name | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "walferry.fullname" -}}
{{- if contains .Chart.Name .Release.Name }}
{{- .Release.Name | trunc 52 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 52 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "walferry.selector" -}}
app.kubernetes.io/name: {{ include "walferry.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: controller
{{- end }}

{{- define "walferry.labels" -}}
{{ include "walferry.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: walferry
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "walferry.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "walferry.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "walferry.certSecret" -}}
{{- default (printf "%s-webhook" (include "walferry.fullname" .)) .Values.webhook.certs.secretName }}
{{- end }}

{{/* An image reference from {registry, repository, tag, digest}; the tag defaults to appVersion. */}}
{{- define "walferry.image" -}}
{{- $image := index . 0 }}{{ $root := index . 1 }}
{{- with $image.registry }}{{ . }}/{{ end }}{{ $image.repository }}
{{- if $image.digest }}@{{ $image.digest }}{{ else }}:{{ default $root.Chart.AppVersion $image.tag }}{{ end }}
{{- end }}

{{/* Namespaces whose pods the webhook is not asked about. */}}
{{- define "walferry.namespaceSelector" -}}
{{- if .Values.watchNamespaces }}
matchExpressions:
  - key: kubernetes.io/metadata.name
    operator: In
    values: {{ toJson .Values.watchNamespaces }}
{{- else }}
matchExpressions:
  - key: kubernetes.io/metadata.name
    operator: NotIn
    values: {{ toJson (concat (list "kube-system" "kube-node-lease" .Release.Namespace) .Values.injection.excludedNamespaces) }}
{{- end }}
{{- end }}

{{/* What the operator does in the namespaces it works in. No wildcard, no Secret. */}}
{{- define "walferry.rules" }}
- apiGroups: [walferry.dev]
  resources: [sqlitereplicas, sqlitebuckets, sqliterestores]
  verbs: [get, list, watch]
- apiGroups: [walferry.dev]
  resources: [sqlitereplicas/status, sqlitebuckets/status, sqliterestores/status]
  verbs: [get, patch, update]
- apiGroups: [walferry.dev]
  resources: [sqlitereplicas/finalizers, sqlitebuckets/finalizers, sqliterestores/finalizers]
  verbs: [update]
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch]
- apiGroups: [batch]
  resources: [jobs, cronjobs]
  verbs: [get, list, watch, create, patch, delete]
# Whose pods a Scale or an autoscaler is about, and who makes outdated pods anew.
- apiGroups: [apps]
  resources: [deployments, statefulsets, replicasets]
  verbs: [get]
{{- if .Values.rollout.enabled }}
- apiGroups: [apps]
  resources: [deployments, statefulsets]
  verbs: [patch]
{{- end }}
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- if .Values.restore.inPlace.enabled }}
# A SqliteRestore in place stops the workloads that use the replica, and starts them again.
- apiGroups: [apps]
  resources: [deployments, statefulsets]
  verbs: [list]
- apiGroups: [apps]
  resources: [deployments/scale, statefulsets/scale]
  verbs: [patch]
{{- end }}
{{- end }}

{{/* The authority is written by the operator (self), by cert-manager, or here from the Secret. */}}
{{- define "walferry.clientConfig" }}
clientConfig:
  service:
    name: {{ include "walferry.fullname" .root }}
    namespace: {{ .root.Release.Namespace }}
    path: {{ .path }}
    port: 443
{{- end }}
{{- define "walferry.webhookAnnotations" }}
{{- if eq .Values.webhook.certs.mode "certManager" }}
annotations:
  cert-manager.io/inject-ca-from: {{ .Release.Namespace }}/{{ include "walferry.certSecret" . }}
{{- end }}
{{- end }}
