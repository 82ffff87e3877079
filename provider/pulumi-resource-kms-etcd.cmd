@node "%~dp0pulumi-resource-kms-etcd" %*
