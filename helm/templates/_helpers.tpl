{{/* Labels of everything. */}}
{{- define "podium.labels" -}}
app.kubernetes.io/name: podium
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version | replace "+" "_" }}
{{- end }}

{{/* What the pods of a component are found by. Called with (list $ component). */}}
{{- define "podium.selector" -}}
app.kubernetes.io/name: podium
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{/* Name, namespace and labels of an object of a component. Called with (list $ component name). */}}
{{- define "podium.metadata" -}}
{{- $root := index . 0 -}}
name: {{ index . 2 }}
namespace: {{ $root.Release.Namespace }}
labels:
  {{- include "podium.labels" $root | nindent 2 }}
  app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{/* The reference of an image. Called with (list $ name). */}}
{{- define "podium.image" -}}
{{- $root := index . 0 -}}
{{- $name := index . 1 -}}
{{- if regexMatch "[:@]" (base $name) -}}
{{ $name }}
{{- else -}}
{{- with $root.Values.images.registry }}{{ trimSuffix "/" . }}/{{ end -}}
{{ $name }}:{{ $root.Values.images.tag | default $root.Chart.AppVersion }}
{{- end -}}
{{- end }}

{{/* The Secret with the keys. */}}
{{- define "podium.secret" -}}
{{ .Values.secret.existing | default .Release.Name }}
{{- end }}

{{/* One variable from the Secret. Called with (list $ variable key). */}}
{{- define "podium.variable" -}}
- name: {{ index . 1 }}
  valueFrom:
    secretKeyRef:
      name: {{ include "podium.secret" (index . 0) }}
      key: {{ index . 2 }}
{{- end }}

{{/* What people open, or nothing. */}}
{{- define "podium.publicUrl" -}}
{{- if .Values.publicUrl -}}
{{ .Values.publicUrl }}
{{- else if .Values.ingress.enabled -}}
http{{ if include "podium.tlsSecret" . }}s{{ end }}://{{ .Values.ingress.host }}
{{- else if .Values.gateway.enabled -}}
http{{ if .Values.gateway.https }}s{{ end }}://{{ .Values.gateway.host }}
{{- end -}}
{{- end }}

{{/* The Secret with the certificate, or nothing where there is no TLS. */}}
{{- define "podium.tlsSecret" -}}
{{- if .Values.ingress.tls.secretName -}}
{{ .Values.ingress.tls.secretName }}
{{- else if .Values.ingress.tls.issuer.name -}}
{{ .Release.Name }}-tls
{{- end -}}
{{- end }}

{{/* How pods run, so that the level `restricted` of Pod Security takes them. */}}
{{- define "podium.podSecurity" -}}
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 1000
  runAsGroup: 1000
  seccompProfile:
    type: RuntimeDefault
{{- end }}

{{/* With which Secrets pods are pulled. Called with their names. */}}
{{- define "podium.pullSecrets" -}}
{{- with . }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end }}

{{/* The same for each container. */}}
{{- define "podium.security" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{/* Where a component's pods run: apart from each other, where that can be. Called with (list $ component). */}}
{{- define "podium.placement" -}}
{{- $root := index . 0 -}}
topologySpreadConstraints:
  {{- range list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
  - topologyKey: {{ . }}
    maxSkew: 1
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "podium.selector" $ | nindent 8 }}
    matchLabelKeys: [pod-template-hash]
  {{- end }}
{{- with $root.Values.pods.priorityClassName | default (ternary (printf "%s-podium" $root.Release.Name) "" $root.Values.priorityClasses.create) }}
priorityClassName: {{ . }}
{{- end }}
{{- with $root.Values.pods.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $root.Values.pods.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* A Deployment up to its containers' own. Called with (list $ component). */}}
{{- define "podium.deployment" -}}
{{- $root := index . 0 -}}
{{- $component := index . 1 -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  {{- include "podium.metadata" (list $root $component (printf "%s-%s" $root.Release.Name $component)) | nindent 2 }}
spec:
  replicas: {{ (index $root.Values $component).replicas }}
  selector:
    matchLabels:
      {{- include "podium.selector" . | nindent 6 }}
  strategy:
    type: RollingUpdate
    rollingUpdate:
      maxUnavailable: 0
      maxSurge: 1
{{- end }}

{{/* Labels and annotations of a component's pods: no version, so that an upgrade replaces only what changed.
     Called with (list $ component annotations). */}}
{{- define "podium.podMetadata" -}}
labels:
  {{- include "podium.selector" . | nindent 2 }}
  app.kubernetes.io/managed-by: {{ (index . 0).Release.Service }}
{{- with merge (index . 2) (index . 0).Values.pods.annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* A pod of the hub. Called with (list $ component), the component being the command too. */}}
{{- define "podium.hubPod" -}}
{{- $root := index . 0 -}}
{{- $component := index . 1 -}}
{{- include "podium.podSecurity" $root }}
{{- if eq $component "archive" }}
  fsGroup: 1000
  fsGroupChangePolicy: OnRootMismatch
{{- end }}
{{- include "podium.pullSecrets" $root.Values.images.pullSecrets }}
automountServiceAccountToken: {{ ne $component "archive" }}
containers:
  - name: {{ $component }}
    image: {{ include "podium.image" (list $root $root.Values.images.hub) }}
    imagePullPolicy: {{ $root.Values.images.pullPolicy }}
    args: [{{ $component }}, --config=/etc/podium/config.yaml]
    securityContext:
      {{- include "podium.security" $root | nindent 6 }}
    volumeMounts:
      - {name: config, mountPath: /etc/podium, readOnly: true}
      - {name: tmp, mountPath: /tmp}
      {{- if eq $component "archive" }}
      - {name: archives, mountPath: /archives}
      {{- end }}
      {{- if and (eq $component "controller") $root.Values.images.workspacePullSecret }}
      - {name: registries, mountPath: /etc/podium-registries, readOnly: true}
      {{- end }}
    env:
      {{- include "podium.variable" (list $root "PODIUM_HUB_KEY" "hub-key") | nindent 6 }}
{{- end }}

{{/* The volumes of that pod, which go last. Called with (list $ component). */}}
{{- define "podium.hubVolumes" -}}
{{- $root := index . 0 -}}
volumes:
  - name: config
    configMap:
      name: {{ $root.Release.Name }}-config
  - name: tmp
    emptyDir:
      sizeLimit: 64Mi
  {{- if eq (index . 1) "archive" }}
  - name: archives
    persistentVolumeClaim:
      claimName: {{ $root.Release.Name }}-archive
  {{- end }}
  {{- if and (eq (index . 1) "controller") $root.Values.images.workspacePullSecret }}
  - name: registries
    secret:
      secretName: {{ $root.Values.images.workspacePullSecret }}
      items:
        - {key: .dockerconfigjson, path: config.json}
  {{- end }}
{{- end }}

{{/* How web and controller are asked how they are. */}}
{{- define "podium.hubProbes" -}}
startupProbe:
  httpGet: {path: /healthz, port: metrics}
  periodSeconds: 1
  failureThreshold: 60
readinessProbe:
  httpGet: {path: /readyz, port: metrics}
  periodSeconds: 2
  timeoutSeconds: 2
livenessProbe:
  httpGet: {path: /healthz, port: metrics}
  periodSeconds: 10
  timeoutSeconds: 5
{{- end }}

{{/* An object from a file, labelled. Called with (list $ object annotations). */}}
{{- define "podium.fromFile" -}}
{{- $root := index . 0 -}}
{{- $object := index . 1 -}}
{{- $_ := set $object.metadata "labels" (include "podium.labels" $root | fromYaml) -}}
{{- with index . 2 }}{{ $_ := set $object.metadata "annotations" . }}{{ end -}}
---
{{ toYaml $object }}
{{- end }}
