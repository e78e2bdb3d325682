{{- define "ossmount.name" -}}
{{ printf "%s" .Release.Name | trunc 50 | trimSuffix "-" }}
{{- end }}

{{- define "ossmount.labels" -}}
app.kubernetes.io/name: ossmount
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "ossmount.nearName" -}}
{{ include "ossmount.name" . }}-near
{{- end }}

{{- define "ossmount.nearLabels" -}}
app.kubernetes.io/name: ossmount-near
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "ossmount.serviceAccount" -}}
{{ .Values.serviceAccount.name | default (include "ossmount.name" .) }}
{{- end }}
