with deliveries as (

    select max(known_at) as last_known_at from {{ ref('stg_landing__deliveries') }}

),

-- The first as-of month in which each kind of record was visible at all: before it, "none" means "not delivered".
first_visible as (

    select
        'load' as record,
        min(visible_from_month_number) as first_month_number,
        max(visible_from_month_number) as last_month_number
    from {{ ref('int_monthly_load_versions') }}
    union all
    select
        'bills' as record,
        min(visible_from_month_number) as first_month_number,
        max(visible_from_month_number) as last_month_number
    from {{ ref('stg_billing__bills') }}
    union all
    select
        'payments' as record,
        min(visible_from_month_number) as first_month_number,
        max(visible_from_month_number) as last_month_number
    from {{ ref('stg_billing__payments') }}
    union all
    select
        'contacts' as record,
        min(visible_from_month_number) as first_month_number,
        max(visible_from_month_number) as last_month_number
    from {{ ref('stg_service__contacts') }}
    union all
    select
        'programmes' as record,
        min(visible_from_month_number) as first_month_number,
        cast(null as integer) as last_month_number
    from {{ ref('stg_crm__programme_enrolments') }}
    union all
    select
        'inspections' as record,
        min(visible_from_month_number) as first_month_number,
        cast(null as integer) as last_month_number
    from {{ ref('stg_metering__inspections') }}

),

bounds as (

    select
        min(case when record in ('load', 'bills') then first_month_number end) as first_month_number,
        max(last_month_number) as last_month_number,
        min(case when record = 'payments' then first_month_number end) as first_payments_month_number,
        min(case when record = 'contacts' then first_month_number end) as first_contacts_month_number,
        min(case when record = 'programmes' then first_month_number end) as first_programmes_month_number,
        min(case when record = 'inspections' then first_month_number end) as first_inspections_month_number
    from first_visible

),

month_numbers as (

    select series.as_of_month_number
    from {{ integer_series('(select first_month_number from bounds)', '(select last_month_number from bounds)', 'as_of_month_number') }} as series

),

months as (

    select
        month_numbers.as_of_month_number,
        {{ month_start('month_numbers.as_of_month_number') }} as as_of_month,
        {{ month_end('month_numbers.as_of_month_number') }} as month_end_date,
        {{ utc_timestamp(month_start('(month_numbers.as_of_month_number + 1)')) }} as month_ended_at,
        {{ utc_timestamp(add_days(month_start('(month_numbers.as_of_month_number + 1)'), var('as_of_lag_days'))) }}
            as as_of_at,
        coalesce(bounds.first_payments_month_number <= month_numbers.as_of_month_number, false) as has_payments,
        coalesce(bounds.first_contacts_month_number <= month_numbers.as_of_month_number, false) as has_contacts,
        coalesce(bounds.first_programmes_month_number <= month_numbers.as_of_month_number, false) as has_programmes,
        coalesce(bounds.first_inspections_month_number <= month_numbers.as_of_month_number, false) as has_inspections
    from month_numbers
    cross join bounds

),

-- A month is looked back upon once it is over: the supplier has delivered something after its end.
final as (

    select
        months.as_of_month_number,
        cast(
            row_number() over (order by months.as_of_month_number desc) as integer
        ) as recency_rank,
        months.has_payments,
        months.has_contacts,
        months.has_programmes,
        months.has_inspections,
        months.as_of_month,
        months.month_end_date,
        months.as_of_at
    from months
    inner join deliveries
        on months.month_ended_at <= deliveries.last_known_at

)

select * from final
