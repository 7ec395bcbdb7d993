import { parser } from '@prometheus-io/lezer-promql';
import type { SyntaxNode } from '@lezer/common';

import type { Unit } from '../lib/units';

/** What a value measures, and whether it is that much each second. */
interface Dimension {
  base: 'bytes' | 'seconds' | 'requests' | 'ratio' | 'timestamp' | 'none';
  perSecond: boolean;
}

const NONE: Dimension = { base: 'none', perSecond: false };

const PASS_THROUGH = new Set(['PromQL', 'ParenExpr', 'StepInvariantExpr', 'OffsetExpr', 'MatrixSelector', 'SubqueryExpr', 'UnaryExpr']);
const EXPRESSIONS = new Set([...PASS_THROUGH, 'VectorSelector', 'FunctionCall', 'AggregateExpr', 'BinaryExpr', 'NumberDurationLiteral']);
const RATES = new Set(['rate', 'irate', 'deriv']);
const COUNTS = new Set(['count_over_time', 'absent', 'absent_over_time', 'changes', 'resets', 'present_over_time', 'sgn', 'count', 'group', 'count_values']);
const CLOCKS = new Set(['time', 'timestamp']);

/** The dimension that a metric's name promises by Prometheus's naming rules. */
export function dimensionOfMetric(name: string): Dimension {
  if (/_(bucket|count)$/.test(name) || name.endsWith('requests_total')) {
    return { base: /request/.test(name) ? 'requests' : 'none', perSecond: false };
  }
  const stem = name.replace(/_(total|sum|max|min|created)$/, '');
  if (/(timestamp|start_time|boot_time|expiry)_seconds$/.test(stem)) return { base: 'timestamp', perSecond: false };
  if (stem.endsWith('_bytes')) return { base: 'bytes', perSecond: false };
  if (stem.endsWith('_seconds')) return { base: 'seconds', perSecond: false };
  if (stem.endsWith('_ratio')) return { base: 'ratio', perSecond: false };
  return NONE;
}

function children(node: SyntaxNode, names: ReadonlySet<string>): SyntaxNode[] {
  const found: SyntaxNode[] = [];
  for (let child = node.firstChild; child !== null; child = child.nextSibling) {
    if (names.has(child.name)) found.push(child);
    else if (child.name === 'FunctionCallBody') found.push(...children(child, names));
  }
  return found;
}

function metricIn(node: SyntaxNode, text: string): string {
  const cursor = node.cursor();
  do {
    if (cursor.name === 'VectorSelector') {
      const identifier = cursor.node.getChild('Identifier');
      return identifier === null ? '' : text.slice(identifier.from, identifier.to);
    }
  } while (cursor.next() && cursor.from < node.to);
  return '';
}

function ofFunction(node: SyntaxNode, text: string): Dimension {
  const identifier = node.getChild('FunctionIdentifier');
  const name = identifier === null ? '' : text.slice(identifier.from, identifier.to);
  if (COUNTS.has(name)) return NONE;
  if (CLOCKS.has(name)) return { base: 'timestamp', perSecond: false };
  // A bucket counts; its bounds are measured in what its metric is named after.
  if (name === 'histogram_quantile') return dimensionOfMetric(metricIn(node, text).replace(/_bucket$/, ''));
  const known = children(node, EXPRESSIONS).map((child) => ofNode(child, text));
  const argument = known.find((dimension) => dimension.base !== 'none') ?? known[0] ?? NONE;
  return RATES.has(name) ? { ...argument, perSecond: true } : argument;
}

function ofAggregate(node: SyntaxNode, text: string): Dimension {
  const operator = node.getChild('AggregateOp');
  if (operator !== null && COUNTS.has(text.slice(operator.from, operator.to))) return NONE;
  const body = children(node, EXPRESSIONS).at(-1);
  return body === undefined ? NONE : ofNode(body, text);
}

function divide(left: Dimension, right: Dimension): Dimension {
  if (right.base === 'none' && !right.perSecond) return left;
  if (left.base === right.base && left.perSecond === right.perSecond) return { base: 'ratio', perSecond: false };
  const counts = right.base === 'none' || right.base === 'requests';
  // A sum's rate over its count's rate is a mean: the seconds or bytes of one event.
  if (counts && left.perSecond === right.perSecond) return { base: left.base, perSecond: false };
  return NONE;
}

/** The dimension beside a bare number, which has none of its own; null where no side is one. */
function besideLiteral(leftNode: SyntaxNode, rightNode: SyntaxNode, left: Dimension, right: Dimension): Dimension | null {
  if (rightNode.name === 'NumberDurationLiteral') return left;
  return leftNode.name === 'NumberDurationLiteral' ? right : null;
}

function ofBinary(node: SyntaxNode, text: string): Dimension {
  const [leftNode, rightNode] = children(node, EXPRESSIONS);
  if (leftNode === undefined || rightNode === undefined) return NONE;
  const left = ofNode(leftNode, text);
  const right = ofNode(rightNode, text);
  if (node.getChild('Div') !== null) return divide(left, right);
  const literal = besideLiteral(leftNode, rightNode, left, right);
  if (node.getChild('Mul') !== null || node.getChild('Pow') !== null) {
    // A ratio times 100 is a percentage already; any other factor makes it a plain number too.
    return literal === null || literal.base === 'ratio' ? NONE : literal;
  }
  if (node.getChild('Sub') !== null && left.base === 'timestamp' && right.base === 'timestamp') return { base: 'seconds', perSecond: false };
  return literal ?? (left.base === 'none' ? right : left);
}

function ofNode(node: SyntaxNode, text: string): Dimension {
  if (node.name === 'VectorSelector') return dimensionOfMetric(metricIn(node, text));
  if (node.name === 'FunctionCall') return ofFunction(node, text);
  if (node.name === 'AggregateExpr') return ofAggregate(node, text);
  if (node.name === 'BinaryExpr') return ofBinary(node, text);
  if (!PASS_THROUGH.has(node.name)) return NONE;
  const [inner] = children(node, EXPRESSIONS);
  return inner === undefined ? NONE : ofNode(inner, text);
}

/** The unit of an expression's values, guessed from the names in it and what is done to them. */
export function inferUnit(expression: string): Unit {
  const { base, perSecond } = ofNode(parser.parse(expression).topNode, expression);
  if (!perSecond) return base === 'none' || base === 'requests' ? 'number' : base;
  if (base === 'bytes') return 'bytes/s';
  if (base === 'requests') return 'requests/s';
  // Seconds spent each second are a share of one core, one thread, one connection.
  if (base === 'seconds' || base === 'ratio') return 'ratio';
  return 'per second';
}
