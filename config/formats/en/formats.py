"""Times as logs have them; pages are read beside logs. Django reads this by `FORMAT_MODULE_PATH`."""

DATETIME_FORMAT = "Y-m-d H:i:s"
DATE_FORMAT = "Y-m-d"
TIME_FORMAT = "H:i:s"
