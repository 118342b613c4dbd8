with reading_months as (

    select * from {{ ref('stg_landing__reading_months') }}

),

ticks as (

    select * from {{ ref('int_calendar_ticks') }}

),

meters as (

    select count(distinct customer_key) as customers_count from {{ ref('stg_metering__meters') }}

),

parallel_meter_customers as (

    select {{ hash_of_group('customer_key') }} as customers_hash from {{ ref('int_parallel_meter_customers') }}

),

local_months as (

    select
        month_number,
        {{ hash_of_group("concat(cast(local_date as " ~ type_string() ~ "), day_type)") }} as calendar_hash
    from (select distinct month_number, local_date, day_type from ticks) as local_days
    group by month_number

),

utc_months as (

    select distinct
        month_number,
        utc_month
    from ticks

),

deliveries_by_month as (

    select
        utc_months.month_number,
        {{ hash_of_group("concat(reading_months.delivery_id, '/', cast(reading_months.read_month as " ~ type_string() ~ "))") }}
            as deliveries_hash
    from utc_months
    inner join reading_months
        on utc_months.utc_month = reading_months.read_month
    group by utc_months.month_number

),

final as (

    select
        deliveries_by_month.month_number,
        meters.customers_count,
        utc_months.utc_month as read_month,
        md5(concat(
            deliveries_by_month.deliveries_hash,
            local_months.calendar_hash,
            parallel_meter_customers.customers_hash,
            '{{ var("time_zone") }}/{{ var("slot_minutes") }}/{{ var("as_of_lag_days") }}'
        )) as fingerprint
    from deliveries_by_month
    inner join utc_months
        on deliveries_by_month.month_number = utc_months.month_number
    inner join local_months
        on deliveries_by_month.month_number = local_months.month_number
    cross join meters
    cross join parallel_meter_customers

)

select * from final
