"""RT-LM (RTSS 2023): its offline calibration, its figures and tables."""
