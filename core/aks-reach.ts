/** By which way the Secrets of an AKS cluster are written again. Stands in users' programs and state: never change a value. */
export const AksReach = {
  /** From where Pulumi runs, through the address in the kubeconfig. */
  Direct: "Direct",
  /** Through Azure, by a command that AKS runs in the cluster (`az aks command invoke`): no way to the API servers is needed. */
  RunCommand: "RunCommand",
} as const;
export type AksReach = (typeof AksReach)[keyof typeof AksReach];
