/** A manifest in the manner of kubeadm: lists that are not indented, probes, several mounts. For tests. */
export const kubeadmManifest = `apiVersion: v1
kind: Pod
metadata:
  annotations:
    kubeadm.kubernetes.io/kube-apiserver.advertise-address.endpoint: 10.0.0.4:6443
  labels:
    component: kube-apiserver
    tier: control-plane
  name: kube-apiserver
  namespace: kube-system
spec:
  containers:
  - command:
    - kube-apiserver
    - --advertise-address=10.0.0.4
    - --etcd-servers=https://127.0.0.1:2379
    - --secure-port=6443 # the default
    image: registry.k8s.io/kube-apiserver:v1.36.3
    livenessProbe:
      httpGet:
        host: 10.0.0.4
        path: /livez
        port: 6443
        scheme: HTTPS
    name: kube-apiserver
    volumeMounts:
    - mountPath: /etc/kubernetes/pki
      name: k8s-certs
      readOnly: true
  hostNetwork: true
  volumes:
  - hostPath:
      path: /etc/kubernetes/pki
      type: DirectoryOrCreate
    name: k8s-certs
status: {}
`;
