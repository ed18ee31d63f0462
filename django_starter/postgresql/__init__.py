"""Django's PostgreSQL, with connections that are never waited for in vain: `ENGINE = "django_starter.postgresql"`."""
