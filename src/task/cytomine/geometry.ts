/**
 * One GeoJSON object of a kind that the contract allows: a point, line or polygon, several of one of them, or a Feature
 * around one, where a Circle and a Rectangle are Features with a `subType`. Coordinates are plane ones and are never
 * changed here.
 */
import { MecaError } from '../../core/errors.ts'
import { MAX_VALUE_CHARS } from '../../core/bundle.ts'
import { readJson } from '../safe-text.ts'
import type { Point } from './plane.ts'
import { pointsFault, polygonsFault } from './topology.ts'

type Json = Readonly<Record<string, unknown>>
/** How deep the coordinates of a kind nest, and what its innermost lists are. */
const KINDS: Readonly<Record<string, { depth: number; shape: 'point' | 'line' | 'polygon' }>> = {
  Point: { depth: 0, shape: 'point' },
  MultiPoint: { depth: 1, shape: 'point' },
  LineString: { depth: 1, shape: 'line' },
  MultiLineString: { depth: 2, shape: 'line' },
  Polygon: { depth: 2, shape: 'polygon' },
  MultiPolygon: { depth: 3, shape: 'polygon' },
}

/** What is wrong with the text, to be read after the parameter's name; undefined where nothing is. */
export function geometryFault(text: string, maxChars = MAX_VALUE_CHARS): string | undefined {
  let value: unknown
  try {
    value = readJson(text, { what: 'the geometry', maxChars }).value
  } catch (error) {
    if (error instanceof MecaError) return `must be GeoJSON: ${error.message}`
    throw error
  }
  if (!isObject(value)) return 'must be one GeoJSON object'
  return value['type'] === 'Feature' ? featureFault(value) : plainFault(value)
}

function featureFault(feature: Json): string | undefined {
  const geometry = feature['geometry']
  if (!isObject(geometry)) return 'must be a Feature with a geometry'
  const properties = feature['properties'] ?? {}
  if (!isObject(properties)) return 'must be a Feature whose properties are an object'
  const subType = properties['subType']
  if (subType === 'Circle') return circleFault(geometry, properties)
  if (subType === 'Rectangle' && geometry['type'] !== 'Polygon') return 'must have a Polygon as its Rectangle'
  return plainFault(geometry)
}

function circleFault(geometry: Json, { radius }: Json): string | undefined {
  if (geometry['type'] !== 'Point') return 'must have a Point as the centre of its Circle'
  if (typeof radius !== 'number' || !(radius > 0)) return 'must have a Circle with a radius above 0'
  return plainFault(geometry)
}

function plainFault({ type, coordinates }: Json): string | undefined {
  const kind = typeof type === 'string' && Object.hasOwn(KINDS, type) ? KINDS[type] : undefined
  if (kind === undefined) {
    const got = JSON.stringify(type)?.slice(0, 80) ?? 'none'
    return `must be a ${Object.keys(KINDS).join(', ')} or a Feature around one, its type is ${got}`
  }
  const level = kind.depth - (kind.shape === 'point' ? 0 : kind.shape === 'line' ? 1 : 2)
  const parts = level === 0 ? [coordinates] : coordinates
  if (!Array.isArray(parts)) return `must have coordinates as a ${String(type)} has them`
  return shapesFault(kind.shape, parts)
}

function shapesFault(shape: 'point' | 'line' | 'polygon', parts: readonly unknown[]): string | undefined {
  if (shape === 'point') return parts.every(isPoint) ? undefined : 'must have points of two finite numbers'
  if (shape === 'line') return firstFault(parts, (line) => (isLine(line) ? pointsFault(line) : NO_LINE))
  return parts.every(isPolygon) ? polygonsFault(parts) : 'must have polygons as lists of rings of at least 4 points'
}

const NO_LINE = 'must have lines of at least 2 points of two finite numbers'

function firstFault<T>(parts: readonly T[], fault: (part: T) => string | undefined): string | undefined {
  for (const part of parts) {
    const found = fault(part)
    if (found !== undefined) return found
  }
  return undefined
}

/** A third number (a height) is tolerated and means nothing here. */
function isPoint(value: unknown): value is Point {
  return Array.isArray(value) && value.length >= 2 && value.length <= 4 && value.every((n) => Number.isFinite(n))
}

function isLine(value: unknown): value is Point[] {
  return Array.isArray(value) && value.length >= 2 && value.every(isPoint)
}

function isPolygon(value: unknown): value is Point[][] {
  const isRing = (ring: unknown) => Array.isArray(ring) && ring.length >= 4 && ring.every(isPoint)
  return Array.isArray(value) && value.length > 0 && value.every(isRing)
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
