"""The studio: panels of one screen around a session. Holds nothing that a script could need."""
