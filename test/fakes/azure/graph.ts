/** Microsoft Graph, as far as it is asked: service principals by object id and by client id. */
import type { FakeAzure } from "./azure-cloud";
import { jsonAnswer } from "./wire";

export interface GraphPrincipal {
  readonly id: string;
  readonly appId?: string;
  readonly displayName: string;
}

/** `principals` may grow later. `status` other than 200: whoever asks is not allowed to. */
export function serveGraph(
  azure: Pick<FakeAzure, "serve">,
  principals: readonly GraphPrincipal[],
  graph: { readonly status: number } = { status: 200 },
): void {
  azure.serve("graph.microsoft.com", ({ path, query }) => ({
    place: undefined,
    answer: () => {
      if (graph.status !== 200) return jsonAnswer(graph.status, { error: { code: "Authorization_RequestDenied" } });
      if (query.get("$select") !== "id,displayName") return jsonAnswer(400, { error: { code: "BadRequest" } });
      const [, appId] = /^\/v1\.0\/servicePrincipals\(appId='([^']+)'\)$/.exec(path) ?? [];
      const [, id] = /^\/v1\.0\/servicePrincipals\/([^/]+)$/.exec(path) ?? [];
      const found = principals.find((one) => (appId === undefined ? one.id === id : one.appId === appId));
      return found === undefined
        ? jsonAnswer(404, { error: { code: "Request_ResourceNotFound" } })
        : jsonAnswer(200, { id: found.id, displayName: found.displayName });
    },
  }));
}
