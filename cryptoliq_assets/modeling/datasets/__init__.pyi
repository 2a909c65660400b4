from .augmentation import feature_views as feature_views
from .feature_matrix import feature_matrix as feature_matrix
from .size_buckets import assign_size_buckets as assign_size_buckets
from .splits import (
    BY_COIN as BY_COIN,
    OVER_TIME as OVER_TIME,
    Fold as Fold,
    Folds as Folds,
    folds_over_time as folds_over_time,
    make_folds as make_folds,
)
from .stored_rows import StoredTrainingRows as StoredTrainingRows, open_training_rows as open_training_rows
from .training_rows import TrainingRows as TrainingRows
from .training_set import (
    TrainingSet as TrainingSet,
    build_training_set as build_training_set,
)
