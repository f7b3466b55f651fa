"""Where data comes from: what is on disk, and how much of it, without reading it all.

No torch here: checking a study asks for sizes and shapes, thousands of times. The engine reads
the same files with the same readers.
"""

from gantune.sources.info import SourceInfo as SourceInfo
from gantune.sources.info import foreign_source as foreign_source
from gantune.sources.info import forget_sources as forget_sources
from gantune.sources.info import source_info as source_info
from gantune.sources.info import training_size as training_size
