/**
 * How large an image may be. A host passes its own numbers; these are the defaults, each with its reason.
 */
export type ImageCaps = {
  layers: number
  /** All layers as they travel. */
  compressedBytes: number
  /** All layers as they lie on the host's disk. */
  unpackedBytes: number
  /** Unpacked to compressed, for each layer, once it is larger than `ratioFreeBytes`. */
  ratio: number
  ratioFreeBytes: number
  /** Files, folders and links of all layers together. */
  entries: number
  pathBytes: number
  pathDepth: number
}

export const DEFAULT_CAPS: ImageCaps = {
  /** Docker's overlay stops at 127, after seconds of work. */
  layers: 100,
  /** Above the largest images with CUDA and a model inside that people publish. */
  compressedBytes: 16 * 2 ** 30,
  unpackedBytes: 40 * 2 ** 30,
  /** Programs compress 3 to 5 times, text 20; 6 MB that become 4.3 GB are a bomb. */
  ratio: 100,
  /** A layer of one empty log file is harmless whatever its ratio. */
  ratioFreeBytes: 16 * 2 ** 20,
  /** 200,000 empty files took dockerd 13 s; a Python image with everything in it has 60,000. */
  entries: 100_000,
  /** What Linux allows. */
  pathBytes: 4095,
  /** 5,000 deep made the engine fail half-way. */
  pathDepth: 64,
}

/** index.json, a manifest or a config, each: real ones have 1 to 30 KiB, and all of it is parsed at once. */
export const MAX_DOCUMENT_BYTES = 2 ** 20
