/** The objects of one part of the bench. A sample of them is in a namespace of its own, for clients that are too slow for all. */
import { randomBytes } from "node:crypto";

export interface Dataset {
  readonly name: string;
  readonly resource: "secrets" | "configmaps";
  readonly objects: number;
  readonly namespaces: readonly string[];
  readonly sampleNamespace: string;
  readonly sampleObjects: number;
  /** What the content of each object holds, as it goes over the wire. */
  readonly mark: string;
  object(index: number): { readonly namespace: string; readonly body: object };
}

/** Secrets are base64 on the wire, and these twelve bytes at the start of the value are these sixteen characters there. */
const mark = Buffer.from("PLAINTEXT!!!");

/** `objects` Secrets of 1 KiB. */
export function secretsDataset(objects: number, sample: number): Dataset {
  return dataset("secrets", objects, sample, mark.toString("base64"), () => ({
    data: { value: Buffer.concat([mark, randomBytes(1_024 - mark.length)]).toString("base64") },
  }));
}

/** `objects` ConfigMaps of 100 KiB. */
export function configMapsDataset(objects: number, sample: number): Dataset {
  return dataset("configmaps", objects, sample, mark.toString(), () => ({
    data: { value: mark.toString() + randomBytes(76_800).toString("base64").slice(mark.length) },
  }));
}

function dataset(
  resource: Dataset["resource"],
  objects: number,
  sample: number,
  wireMark: string,
  content: () => object,
): Dataset {
  const names = [`${resource}-sample-${objects}`, `${resource}-${objects}`] as const;
  const sampleObjects = Math.min(sample, objects);
  return {
    name: `${objects} ${resource}`,
    resource,
    objects,
    namespaces: names,
    sampleNamespace: names[0],
    sampleObjects,
    mark: wireMark,
    object: (index) => ({
      namespace: index < sampleObjects ? names[0] : names[1],
      body: { metadata: { name: `o${String(index).padStart(6, "0")}` }, ...content() },
    }),
  };
}
