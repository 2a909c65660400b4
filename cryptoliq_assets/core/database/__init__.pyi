from .connection import (
    DATABASE_NAME as DATABASE_NAME,
    Database as Database,
    explain_unusable_database as explain_unusable_database,
    open_database as open_database,
    retry_during_restart as retry_during_restart,
)
from .documents import read_document as read_document, write_document as write_document
from .errors import DatabaseUnavailableError as DatabaseUnavailableError
from .fencing import (
    LockLostError as LockLostError,
    LockSession as LockSession,
    fenced_by as fenced_by,
    held_session as held_session,
    prove_lock as prove_lock,
)
from .market_lock import (
    MarketLockTimeoutError as MarketLockTimeoutError,
    find_live_runs as find_live_runs,
    open_market_lock as open_market_lock,
    prove_session as prove_session,
    take_turn as take_turn,
    try_turn as try_turn,
)
from .markets import (
    Market as Market,
    MarketError as MarketError,
    create_market as create_market,
    find_market as find_market,
    forget_market as forget_market,
    market_location as market_location,
    shared_location as shared_location,
)
from .session import Session as Session, SqliteSession as SqliteSession
