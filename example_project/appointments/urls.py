"""Pages of the service."""

from django.urls import path

from appointments import views

urlpatterns = [
    path("", views.book, name="book"),
    path("appointments/", views.bookings, name="bookings"),
    path("appointments/<str:reference>/", views.appointment, name="appointment"),
    path("appointments/<str:reference>/progress/", views.progress, name="progress"),
    path("appointments/<str:reference>/remind/", views.remind, name="remind"),
]
