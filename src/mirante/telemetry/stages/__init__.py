"""What happens to a measurement between recording and delivery: stages that compose."""

from mirante.telemetry.stages.aggregate import Aggregate
from mirante.telemetry.stages.batch import Batch
from mirante.telemetry.stages.rate_limit import RateLimit
from mirante.telemetry.stages.retry import Retry
from mirante.telemetry.stages.sample import Sample

__all__ = ["Aggregate", "Batch", "RateLimit", "Retry", "Sample"]
