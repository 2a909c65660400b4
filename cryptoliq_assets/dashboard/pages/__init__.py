"""One module per page, run by Streamlit."""

__all__: list[str] = []
