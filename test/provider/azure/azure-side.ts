/** The provider with the real Azure SDKs, led to a fake of Azure by the connections that they open; and the engine's side of it. */
import { Agent } from "undici";
import { startProvider } from "../../../provider/provider";
import { createSdkClients } from "../../../rotation/adapters/azure/sdk-clients";
import { startFakeAzure } from "../../fakes/azure/azure-cloud";
import { type GraphPrincipal, serveGraph } from "../../fakes/azure/graph";
import type { FakeVault } from "../../fakes/azure/key-vault";
import { sdkHttpClient } from "../../fakes/azure/sdk-http-client";
import { engineSide } from "../support/engine-side";
import { simulatedEngine } from "../support/simulated-engine";

export type AzureSide = Awaited<ReturnType<typeof azureSide>>;

/** A vault `my-vault`, an application that may do everything there, and a directory with `principals`. */
export async function azureSide() {
  const azure = await startFakeAzure();
  const vault: FakeVault = azure.addVault("my-vault");
  const application = azure.entra.addApplication({ tenantId: vault.tenantId, secret: "a-secret" });
  const principals: GraphPrincipal[] = [];
  const graph = { status: 200 };
  serveGraph(azure, principals, graph);
  const agent = new Agent({ connect: azure.connect });
  const environment = {
    ARM_TENANT_ID: vault.tenantId,
    ARM_CLIENT_ID: application.clientId,
    ARM_CLIENT_SECRET: "a-secret",
  };
  const clients = createSdkClients(environment, { httpClient: sdkHttpClient(agent) });
  const side = await engineSide((engineAddress) =>
    startProvider({
      engineAddress,
      engine: simulatedEngine(new Map()),
      identity: { version: "0.0.0", schema: async () => "{}" },
      azure: () => clients,
    }),
  );
  return {
    ...side,
    azure,
    vault,
    application,
    principals,
    graph,
    clients,
    grant: () => vault.grant(application.objectId, "get", "list", "update"),
    async close() {
      await side.close();
      await agent.close();
      await azure.close();
    },
  };
}
